#include "agent/state_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace layby::agent {
namespace {

// Locks of the open file, not of the process: two agents in one process exclude each other too.
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string errno_text() {
  return std::generic_category().message(errno);
}

}  // namespace

Result<StateLock> StateLock::take(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail(ErrorCode::kIo, "opening {}: {}", path, errno_text());
  StateLock lock(descriptor);
  struct flock wanted = whole_file();
  if (::fcntl(descriptor, F_OFD_SETLK, &wanted) == 0) return lock;
  if (errno == EAGAIN || errno == EACCES)
    return fail(ErrorCode::kConflict, "another agent runs: it holds {}", path);
  return fail(ErrorCode::kIo, "locking {}: {}", path, errno_text());
}

StateLock::~StateLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

StateLock::StateLock(StateLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

StateLock& StateLock::operator=(StateLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Result<StateLock::Holder> StateLock::look(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT) return Holder::kNobody;
  if (descriptor < 0) return fail(ErrorCode::kIo, "opening {}: {}", path, errno_text());
  const StateLock closed_at_the_end(descriptor);
  struct flock found = whole_file();
  if (::fcntl(descriptor, F_OFD_GETLK, &found) != 0)
    return fail(ErrorCode::kIo, "looking at the lock {}: {}", path, errno_text());
  return found.l_type == F_UNLCK ? Holder::kNobody : Holder::kAnAgent;
}

}  // namespace layby::agent
