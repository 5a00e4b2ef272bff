// One run at a time on one directory of trusted metadata: of two, the slower one would put its
// older files over the newer ones.
#pragma once

#include <string>

#include "base/result.h"

namespace layby::tuf {

class DirectoryLock {
 public:
  // Waits until no other process holds it; each ends by its deadlines. kNotFound without such a
  // directory. The lock is the directory's own (flock): no file more, and it goes with the process.
  static Result<DirectoryLock> take(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) = delete;

 private:
  explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace layby::tuf
