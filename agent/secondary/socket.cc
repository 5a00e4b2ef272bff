#include "agent/secondary/socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/clock.h"

namespace layby::secondary {
namespace {

constexpr int kBacklog = 4;

std::string errno_text() {
  return std::generic_category().message(errno);
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(ErrorCode::kInvalidArgument, "a socket's path has 1 to {} bytes, not {}",
                sizeof address.sun_path - 1, path.size());
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<Socket> make_socket() {
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return fail(ErrorCode::kUnavailable, "a socket: {}", errno_text());
  return socket;
}

class Deadline {
 public:
  explicit Deadline(std::int64_t within_ms) : end_ms_(clock_.monotonic_ms() + within_ms) {}

  // Until the descriptor is ready; kTimeout.
  Result<void> wait(int descriptor, short events) const {
    for (;;) {
      // What is there already counts, also for who was not scheduled in time.
      const std::int64_t left_ms = std::max<std::int64_t>(0, end_ms_ - clock_.monotonic_ms());
      pollfd entry{descriptor, events, 0};
      const int ready =
          ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left_ms, 60'000)));
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR)
        return fail(ErrorCode::kUnavailable, "waiting for a socket: {}", errno_text());
      if (left_ms == 0) return fail(ErrorCode::kTimeout, "the other end took too long");
    }
  }

 private:
  SystemClock clock_;
  std::int64_t end_ms_;
};

bool is_again() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

Result<void> read_all(int descriptor, MutableByteSpan out, const Deadline& deadline) {
  while (!out.empty()) {
    TRY_VOID(deadline.wait(descriptor, POLLIN));
    const ssize_t count = ::recv(descriptor, out.data(), out.size(), 0);
    if (count == 0) return fail(ErrorCode::kUnavailable, "the other end is gone");
    if (count < 0 && is_again()) continue;
    if (count < 0) return fail(ErrorCode::kUnavailable, "reading a socket: {}", errno_text());
    out = out.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace

Socket::~Socket() {
  close();
}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void Socket::close() {
  if (const int descriptor = std::exchange(descriptor_, -1); descriptor >= 0) ::close(descriptor);
}

Result<void> check_socket_path(const std::string& path) {
  if (!path.starts_with('/'))
    return fail(ErrorCode::kInvalidArgument, "{}: a socket's path begins with /", path);
  return address_of(path).map([](const sockaddr_un&) {});
}

Result<Socket> connect_to(const std::string& path) {
  const sockaddr_un address = TRY(address_of(path));
  Socket socket = TRY(make_socket());
  // A Unix socket answers at once: EAGAIN is a listener whose queue is full.
  if (::connect(socket.descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
      0)
    return fail(ErrorCode::kUnavailable, "{}: {}", path, errno_text());
  return socket;
}

Result<Socket> listen_at(const std::string& path) {
  const sockaddr_un address = TRY(address_of(path));
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode))
      return fail(ErrorCode::kAlreadyExists, "{} is there already, and is no socket", path);
    ::unlink(path.c_str());
  }
  Socket socket = TRY(make_socket());
  // The mode from the first moment on; the chmod is for a narrower umask of the process.
  const mode_t umask_before = ::umask(0117);
  const int bound =
      ::bind(socket.descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int bind_errno = errno;
  ::umask(umask_before);
  errno = bind_errno;
  if (bound != 0 || ::chmod(path.c_str(), 0660) != 0 ||
      ::listen(socket.descriptor(), kBacklog) != 0)
    return fail(ErrorCode::kIo, "listening at {}: {}", path, errno_text());
  return socket;
}

Result<void> send_message(const Socket& socket, const Message& message, std::int64_t within_ms) {
  const Bytes bytes = TRY(encode(message));
  const Deadline deadline(within_ms);
  for (ByteSpan left = bytes; !left.empty();) {
    TRY_VOID(deadline.wait(socket.descriptor(), POLLOUT));
    const ssize_t count = ::send(socket.descriptor(), left.data(), left.size(), MSG_NOSIGNAL);
    if (count < 0 && is_again()) continue;
    if (count < 0) return fail(ErrorCode::kUnavailable, "writing a socket: {}", errno_text());
    left = left.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<Message> receive_message(const Socket& socket, std::int64_t within_ms) {
  const Deadline deadline(within_ms);
  Bytes header(kHeaderBytes);
  TRY_VOID(read_all(socket.descriptor(), header, deadline));
  const Header read = TRY(read_header(header));
  Message message{read.type, Bytes(read.body_bytes)};
  TRY_VOID(read_all(socket.descriptor(), message.body, deadline));
  return message;
}

}  // namespace layby::secondary
