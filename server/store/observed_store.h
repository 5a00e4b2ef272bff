// A Store that tells how each commit of another one went: for metrics.
#pragma once

#include <chrono>
#include <functional>

#include "server/store/store.h"

namespace layby::server {

enum class CommitOutcome { kCommitted, kConflict, kFailed };

class ObservedStore final : public Store {
 public:
  // Called after each commit, from the thread that made it.
  using Observer = std::function<void(CommitOutcome, std::chrono::microseconds)>;

  // `inner` must outlive it.
  ObservedStore(Store& inner, Observer observer) : inner_(inner), observer_(std::move(observer)) {}

  Result<std::optional<std::string>> get(std::string_view key) const override {
    return inner_.get(key);
  }
  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end,
                                     std::size_t limit) const override {
    return inner_.scan(begin, end, limit);
  }
  Result<void> commit(const Batch& batch) override;
  Result<void> purge(const std::vector<KeyRange>& ranges) override { return inner_.purge(ranges); }

 private:
  Store& inner_;
  Observer observer_;
};

}  // namespace layby::server
