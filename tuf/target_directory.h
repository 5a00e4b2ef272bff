// Downloaded targets: each under its name percent-encoded as one segment, so that no name leads out
// of the directory. A file appears here whole and verified, or not at all.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/disk.h"
#include "crypto/digest.h"
#include "manifest/metadata.h"

namespace layby::tuf {

// A target in the making: a file without a name, which is gone with the process.
class IncomingTarget {
 public:
  // Makes the directory where it is missing.
  static Result<IncomingTarget> create(Disk& disk, const std::string& directory);
  ~IncomingTarget();
  IncomingTarget(IncomingTarget&& other) noexcept;
  IncomingTarget& operator=(IncomingTarget&&) = delete;

  Result<void> write(ByteSpan bytes);
  // kWrongImage unless length and every known hash are those of the target. Then the file has its
  // name, and survives a power cut.
  Result<void> publish(const std::string& name, const manifest::Target& target);

 private:
  IncomingTarget(Disk& disk, std::string directory, int descriptor, std::string temporary);
  Disk* disk_;
  std::string directory_;
  int descriptor_;
  std::string temporary_;  // its path, once it has one
  crypto::Hasher hasher_{crypto::Hasher::With::kSha256AndSha512};
};

// True if the directory has the target already, with its length and every known hash.
bool has_target(Disk& disk, const std::string& directory, const std::string& name,
                const manifest::Target& target);

}  // namespace layby::tuf
