// Payloads in a directory: `root`/ab/cd/<64 hex digits>, and `root`/incoming for what is still
// being written. A file appears under its name only whole, checked and synced, and is never changed
// afterwards.
#pragma once

#include "server/payloads/payload_store.h"

namespace layby::server {

class DirectoryPayloadStore final : public PayloadStore {
 public:
  // Creates what is missing. `disk` must outlive it.
  static Result<std::unique_ptr<DirectoryPayloadStore>> open(Disk& disk, std::string root);

  Result<std::unique_ptr<ReadAt>> open(const crypto::Digest256& name) const override;
  Result<std::string> local_path(const crypto::Digest256& name) const override;
  Result<void> adopt(const std::string& path, const crypto::Digest256& name) override;
  std::string incoming_dir() const override { return root_ + "/incoming"; }

 private:
  DirectoryPayloadStore(Disk& disk, std::string root) : disk_(disk), root_(std::move(root)) {}
  std::string path_of(const crypto::Digest256& name) const;

  Disk& disk_;
  std::string root_;
};

}  // namespace layby::server
