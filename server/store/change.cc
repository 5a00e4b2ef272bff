#include "server/store/change.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/assert.h"

namespace layby::server {

Change::~Change() {
  finish(Outcome::kAbandoned);
}

Result<std::optional<std::string>> Change::get(std::string_view key) {
  if (const auto own = written_.find(key); own != written_.end()) return own->second;
  if (const auto seen = read_.find(key); seen != read_.end()) return seen->second;
  std::optional<std::string> value = TRY(store_.get(key));
  read_.emplace(key, value);
  return value;
}

Result<std::vector<KeyValue>> Change::scan(std::string_view begin, std::string_view end,
                                           std::size_t limit) {
  // Own erasures may hide as many pairs of the store as there are erasures in the range.
  const auto first = written_.lower_bound(begin);
  const auto last = written_.lower_bound(end);
  const auto hidden = static_cast<std::size_t>(
      std::count_if(first, last, [](const auto& write) { return !write.second; }));
  std::vector<KeyValue> found = TRY(store_.scan(begin, end, limit + hidden));

  std::map<std::string, std::string> merged;
  for (KeyValue& pair : found) {
    // What was read first stays the expectation: the commit then notices that it has changed.
    read_.emplace(pair.key, pair.value);
    merged.emplace(std::move(pair.key), std::move(pair.value));
  }
  for (auto write = first; write != last; ++write) {
    if (write->second)
      merged.insert_or_assign(write->first, *write->second);
    else
      merged.erase(write->first);
  }
  std::vector<KeyValue> out;
  for (auto& [key, value] : merged) {
    if (out.size() == limit) break;
    out.push_back({key, std::move(value)});
  }
  return out;
}

void Change::put(std::string_view key, std::string_view value) {
  written_.insert_or_assign(std::string(key), std::string(value));
}

void Change::erase(std::string_view key) {
  written_.insert_or_assign(std::string(key), std::nullopt);
}

Result<void> Change::commit() {
  LAYBY_ASSERT(!spent_);
  Batch batch;
  batch.expectations.reserve(read_.size());
  for (const auto& [key, value] : read_) batch.expectations.push_back({key, value});
  batch.writes.reserve(written_.size());
  for (const auto& [key, value] : written_) batch.writes.push_back({key, value});
  Result<void> committed = store_.commit(batch);
  finish(committed ? Outcome::kCommitted : Outcome::kAbandoned);
  return committed;
}

void Change::finish(Outcome outcome) {
  if (spent_) return;
  spent_ = true;
  for (const auto& action : at_end_) action(outcome);
}

std::unique_lock<std::recursive_mutex> wait_before_attempt(int attempt) {
  constexpr int kFreeAttempts = 3;
  // One for all keys: conflicts are rare, and a body that commits something of its own, which it
  // should not, must not wait for itself.
  static std::recursive_mutex turnstile;
  if (attempt >= kFreeAttempts) return std::unique_lock(turnstile);
  if (attempt > 0) std::this_thread::sleep_for(std::chrono::microseconds(200) * attempt);
  return {};
}

}  // namespace layby::server
