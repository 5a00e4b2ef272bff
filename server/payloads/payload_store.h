// The PayloadStore seam: immutable files named by the SHA-256 of their bytes. Images and payloads
// both live here. Implementations: a directory (directory_payload_store.h); a bucket comes with a
// second one. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/disk.h"
#include "crypto/digest.h"

namespace layby::server {

class PayloadStore {
 public:
  virtual ~PayloadStore() = default;

  // kNotFound if it is not there.
  virtual Result<std::unique_ptr<ReadAt>> open(const crypto::Digest256& name) const = 0;

  // Where the file lies on this machine, so that a socket can send from it and a job can map it.
  // kNotFound.
  virtual Result<std::string> local_path(const crypto::Digest256& name) const = 0;

  // Takes over the file at `path` (same file system), after checking that its bytes have this
  // digest; durable when it returns. Already there: `path` is removed, success.
  virtual Result<void> adopt(const std::string& path, const crypto::Digest256& name) = 0;

  // A directory on the store's file system for files that are still being written.
  virtual std::string incoming_dir() const = 0;
};

}  // namespace layby::server
