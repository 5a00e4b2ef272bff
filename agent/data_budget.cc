#include "agent/data_budget.h"

#include <algorithm>
#include <limits>

#include "base/time_text.h"

namespace layby::agent {

std::string month_of(UnixSeconds time) {
  return format_utc(time).substr(0, 7);
}

// A time that went back begins no month anew.
std::uint64_t DataBudget::used(const Record& record) const {
  return month_of(time_.now()) > record.data_month ? 0 : record.data_bytes;
}

std::uint64_t DataBudget::left(const Record& record) const {
  if (bytes_a_month_ == 0) return std::numeric_limits<std::uint64_t>::max();
  return bytes_a_month_ - std::min(bytes_a_month_, used(record));
}

void DataBudget::count(Record& record, std::uint64_t bytes) const {
  record.data_bytes = used(record) + bytes;
  record.data_month = std::max(record.data_month, month_of(time_.now()));
}

void DataBudget::give_back(Record& record, std::uint64_t bytes) {
  record.data_bytes -= std::min(record.data_bytes, bytes);
}

}  // namespace layby::agent
