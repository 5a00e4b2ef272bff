#include "server/store/observed_store.h"

namespace layby::server {

Result<void> ObservedStore::commit(const Batch& batch) {
  const auto begun = std::chrono::steady_clock::now();
  Result<void> result = inner_.commit(batch);
  const CommitOutcome outcome = result ? CommitOutcome::kCommitted
                                : result.error().code() == ErrorCode::kConflict
                                    ? CommitOutcome::kConflict
                                    : CommitOutcome::kFailed;
  observer_(outcome, std::chrono::duration_cast<std::chrono::microseconds>(
                         std::chrono::steady_clock::now() - begun));
  return result;
}

}  // namespace layby::server
