#include "tuf/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace layby::tuf {

Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return fail(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: {}", directory,
                std::strerror(errno));
  DirectoryLock lock(descriptor);
  while (::flock(descriptor, LOCK_EX) != 0)
    if (errno != EINTR)
      return fail(ErrorCode::kIo, "{}: cannot be locked: {}", directory, std::strerror(errno));
  return lock;
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace layby::tuf
