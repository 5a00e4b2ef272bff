// Uploads that go on where they stopped, whatever crashed. An upload's id is the SHA-256 of what it
// brings: beginning it twice is the same upload, and bytes that are already there are not sent
// again.
//
// The record `u/<id>` holds the offset up to which the file is synced; what lies behind it in the
// file counts nothing. The file becomes a payload when it is whole and has its digest. From then on
// there is no record: the payload itself says that the upload is complete.
#pragma once

#include <array>
#include <mutex>
#include <optional>

#include "base/limits.h"
#include "crypto/digest.h"
#include "server/services.h"

namespace layby::server {

struct UploadLimits {
  std::uint64_t free_bytes_min = 256 * kMiB;        // what an upload must leave free on the disk
  UnixSeconds abandoned_seconds = 7 * kDaySeconds;  // without a byte more
};

// What one PATCH may carry: it is held in memory until it is on the disk.
constexpr std::uint64_t kUploadPieceBytesMax = 8 * kMiB;
// Uploads that are open at once; they are few and each holds disk space.
constexpr std::size_t kOpenUploadsMax = 1000;

struct UploadState {
  std::uint64_t length;
  std::uint64_t offset;  // == length: complete
};

// Any thread.
class Uploads {
 public:
  // `services` must outlive it.
  Uploads(const Services& services, UploadLimits limits) : services_(services), limits_(limits) {}

  // At the start, before anything else writes to the incoming directory: removes the files there
  // that no upload refers to, and records of uploads that are complete.
  Result<void> recover();

  // Begins it or finds it. kConflict if it was begun with another length, kDiskFull naming what is
  // missing, kTooLarge above kImageBytesMax, kUnavailable when too many are open.
  Result<UploadState> begin(const crypto::Digest256& id, std::uint64_t length);

  // kNotFound if it was never begun, was given up, or had the wrong digest.
  Result<UploadState> state(const crypto::Digest256& id) const;

  // Appends at `offset`. Durable when it returns. kConflict if the upload stands elsewhere;
  // kTooLarge for more bytes than it has; kWrongImage if it is now whole and its bytes have
  // another digest: it has then been removed.
  Result<UploadState> append(const crypto::Digest256& id, std::uint64_t offset, ByteSpan bytes);

  // Removes it if it is not complete; absent is fine.
  Result<void> abandon(const crypto::Digest256& id);

  // Removes those that have waited too long; how many.
  Result<std::size_t> expire();

 private:
  struct Record;
  std::string file_of(const crypto::Digest256& id) const;
  std::optional<std::uint64_t> complete_length(const crypto::Digest256& id) const;
  Result<std::optional<Record>> load(const crypto::Digest256& id) const;
  Result<void> save(const crypto::Digest256& id, const Record& record);
  Result<void> drop(const crypto::Digest256& id);
  Result<void> check_space(std::uint64_t length) const;
  std::mutex& mutex_of(const crypto::Digest256& id) const { return mutexes_[id[0] % 64]; }

  const Services& services_;
  UploadLimits limits_;
  mutable std::array<std::mutex, 64> mutexes_;  // one upload, one writer
  std::mutex begin_mutex_;                      // the space that is promised
};

}  // namespace layby::server
