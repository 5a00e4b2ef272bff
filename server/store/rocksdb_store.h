// The embedded Store: RocksDB in a directory of its own, opened by one process at a time.
//
// A commit is durable (synced write-ahead log) before it returns and before anybody can read it.
// Commits that touch different keys run side by side and share syncs; those that touch the same
// keys wait for one another. A commit that answers kIo may or may not have happened: RocksDB then
// refuses further writes, and the process must be started again.
#pragma once

#include <memory>

#include "server/store/store.h"

namespace layby::server {

class RocksDbStore final : public Store {
 public:
  // Creates the directory if it is not there. kUnavailable if another process has it open.
  static Result<std::unique_ptr<RocksDbStore>> open(const std::string& directory);
  ~RocksDbStore() override;

  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end,
                                     std::size_t limit) const override;
  Result<void> commit(const Batch& batch) override;
  Result<void> purge(const std::vector<KeyRange>& ranges) override;

 private:
  struct State;
  explicit RocksDbStore(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace layby::server
