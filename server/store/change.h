// Change: the unit of work. Collects what was read as expectations and what is to be written, and
// commits both as one batch: the state change, its audit record and its events stand or fall
// together.
//
//   Result<Order> placed = commit_with_retry(store, [&](Change& change) -> Result<Order> {
//     const std::optional<std::string> car = TRY(change.get(car_key(vin)));
//     if (!car) return fail(ErrorCode::kNotFound, "no car {}", vin);
//     change.put(order_key(id), …);
//     return order;
//   });
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/store/store.h"

namespace layby::server {

// One thread at a time. Must not outlive its store.
class Change {
 public:
  enum class Outcome { kCommitted, kAbandoned };

  explicit Change(Store& store) : store_(store) {}
  ~Change();
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  // The value as this change sees it: its own writes first, then what it read before, then the
  // store. What came from the store becomes an expectation of the commit.
  Result<std::optional<std::string>> get(std::string_view key);

  // As Store::scan, with this change's own writes worked in. Each pair that came from the store
  // becomes an expectation. A key that somebody else adds to the range meanwhile is NOT noticed:
  // where that matters, all who add must also write one key that all readers get.
  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end,
                                     std::size_t limit);

  void put(std::string_view key, std::string_view value);
  void erase(std::string_view key);

  // Called exactly once: after the commit has succeeded, or when the change is dropped without
  // one. For what must be released either way, such as a number drawn from a sequence.
  void at_end(std::function<void(Outcome)> action) { at_end_.push_back(std::move(action)); }

  // All or nothing, durable when it returns; kConflict if something that was read has changed
  // since. At most once. Without writes it still checks the expectations.
  Result<void> commit();

 private:
  void finish(Outcome outcome);

  Store& store_;
  std::map<std::string, std::optional<std::string>, std::less<>> read_;
  std::map<std::string, std::optional<std::string>, std::less<>> written_;
  std::vector<std::function<void(Outcome)>> at_end_;
  bool spent_ = false;
};

// So often a lost compare-and-set is tried again. Whoever has lost a few times waits for its turn:
// then it only competes with newcomers, and does not starve however many there are.
constexpr int kCommitAttemptsMax = 64;

// Waits a little after the first losses; later the lock is one that all hold who have lost often.
std::unique_lock<std::recursive_mutex> wait_before_attempt(int attempt);

// Runs `body(change)` and commits what it did; again from the start, with a new Change, when the
// commit lost. An error of the body itself, kConflict included, is returned and nothing is
// written. kUnavailable when it lost kCommitAttemptsMax times. `body` returns a Result and may run
// several times: it must not change anything but the Change.
template <typename Body>
auto commit_with_retry(Store& store, Body&& body) -> decltype(body(std::declval<Change&>())) {
  for (int attempt = 0; attempt < kCommitAttemptsMax; ++attempt) {
    const std::unique_lock<std::recursive_mutex> turn = wait_before_attempt(attempt);
    Change change(store);
    auto result = body(change);
    if (!result) return result;
    Result<void> committed = change.commit();
    if (committed) return result;
    if (committed.error().code() != ErrorCode::kConflict) return fail(std::move(committed.error()));
  }
  return fail(ErrorCode::kUnavailable, "too many changes of the same thing at once, try again");
}

}  // namespace layby::server
