#include "tests/server/shop/map_store.h"

namespace layby::tests {

Result<std::optional<std::string>> MapStore::get(std::string_view key) const {
  const auto found = pairs.find(key);
  if (found == pairs.end()) return std::nullopt;
  return found->second;
}

Result<std::vector<server::KeyValue>> MapStore::scan(std::string_view begin, std::string_view end,
                                                     std::size_t limit) const {
  std::vector<server::KeyValue> found;
  for (auto at = pairs.lower_bound(begin);
       at != pairs.end() && at->first < end && found.size() < limit; ++at)
    found.push_back({at->first, at->second});
  return found;
}

Result<void> MapStore::commit(const server::Batch& batch) {
  for (const server::Expectation& expected : batch.expectations) {
    const auto found = pairs.find(expected.key);
    const bool holds = expected.value ? found != pairs.end() && found->second == *expected.value
                                      : found == pairs.end();
    if (!holds) return fail(ErrorCode::kConflict, "{} has changed", expected.key);
  }
  for (const server::Write& write : batch.writes) {
    if (write.value)
      pairs[write.key] = *write.value;
    else
      pairs.erase(write.key);
  }
  return {};
}

Result<void> MeddlingStore::commit(const server::Batch& batch) {
  if (!batch.writes.empty()) ++commits;
  if (!batch.writes.empty() && before_commit) std::exchange(before_commit, nullptr)();
  if (batch.writes.empty()) return inner_.commit(batch);
  switch (std::exchange(crash, Crash::kNone)) {
    case Crash::kNone: return inner_.commit(batch);
    case Crash::kBefore: return fail(ErrorCode::kIo, "the power is gone");
    case Crash::kAfter: break;
  }
  if (Result<void> done = inner_.commit(batch); !done) return done;
  return fail(ErrorCode::kIo, "the power is gone");
}

}  // namespace layby::tests
