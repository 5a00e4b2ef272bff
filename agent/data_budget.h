// The car's monthly data budget (P2.3): what payloads cost over metered bearers, by calendar month
// in UTC, kept in the journal.
#pragma once

#include <cstdint>

#include "agent/record.h"
#include "agent/trusted_time.h"

namespace layby::agent {

// "2026-11", UTC: sorts as time does.
std::string month_of(UnixSeconds time);

class DataBudget {
 public:
  // Both must outlive it. `bytes_a_month` 0: no limit; it is counted all the same.
  DataBudget(const TrustedTime& time, std::uint64_t bytes_a_month)
      : time_(time), bytes_a_month_(bytes_a_month) {}

  // What may still be fetched this month.
  std::uint64_t left(const Record& record) const;
  // Counts bytes before they are asked for; the caller saves the journal, then asks.
  void count(Record& record, std::uint64_t bytes) const;
  // Of what was counted, this did not come.
  static void give_back(Record& record, std::uint64_t bytes);

 private:
  std::uint64_t used(const Record& record) const;

  const TrustedTime& time_;
  const std::uint64_t bytes_a_month_;
};

}  // namespace layby::agent
