// How fast one caller may write. What somebody writes costs everybody: a synced commit, an audit
// record, events that stand in one line with everybody else's. Tokens in a bucket for each account
// and each car, in memory: a restart fills them all.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

// A person places a few orders at once, and then none for days.
constexpr double kAccountWritesAtOnce = 60;
// A car reports what has changed, and repeats what got lost.
constexpr double kCarWritesAtOnce = 300;
constexpr double kCarWritesPerMinute = 30;
// Buckets that are kept; those that are full again are the first to go.
constexpr std::size_t kBucketsMax = 100'000;

class WritePace {
 public:
  // `services` must outlive it. Accounts of owners and partners may write so often in the long run;
  // operators as often as they like, their programs bring in fleets.
  WritePace(const Services& services, std::uint64_t account_writes_per_minute)
      : services_(services), account_per_minute_(static_cast<double>(account_writes_per_minute)) {}

  // 429 with Retry-After for one that writes too fast; nothing for all others, also for those whom
  // the handler will not let in. Any thread.
  std::optional<Response> refuse(const Request& request);

 private:
  struct Rate {
    double at_once;
    double per_minute;
  };
  struct Bucket {
    double tokens;
    std::int64_t at_ms;
    Rate rate;
    double tokens_at(std::int64_t now_ms) const;
  };
  // Whose bucket a request takes from, and how that fills; nobody's for whom there is no limit.
  struct Writer {
    std::string name;
    Rate rate;
  };
  std::optional<Writer> writer_of(const Request& request) const;
  void make_room(std::int64_t now_ms);

  const Services& services_;
  const double account_per_minute_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;  // guarded by mutex_
};

}  // namespace layby::server
