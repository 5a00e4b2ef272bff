#include "agent/line_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <utility>

namespace layby::agent {
namespace {

constexpr int kSendWaitMs = 5'000;

std::string errno_text() {
  return std::generic_category().message(errno);
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

bool wait_readable(int descriptor, std::int64_t wait_ms) {
  pollfd entry{descriptor, POLLIN, 0};
  return ::poll(&entry, 1, static_cast<int>(wait_ms)) > 0;
}

Result<LineSocket> LineSocket::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorCode::kInvalidArgument, "the socket path {} is longer than {} characters",
                path, sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return fail(ErrorCode::kIo, "making a socket: {}", errno_text());
  LineSocket socket(descriptor);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(ErrorCode::kUnavailable, "connecting to {}: {}", path, errno_text());
  return socket;
}

LineSocket::LineSocket(int descriptor) : descriptor_(descriptor) {
  ::fcntl(descriptor_, F_SETFL, ::fcntl(descriptor_, F_GETFL) | O_NONBLOCK);
}

LineSocket::~LineSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

LineSocket::LineSocket(LineSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), buffer_(std::move(other.buffer_)) {}

LineSocket& LineSocket::operator=(LineSocket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

Result<void> LineSocket::send(const std::string& line) {
  const std::string bytes = line + "\n";
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t n = ::send(descriptor_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n >= 0) {
      at += static_cast<std::size_t>(n);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
      return fail(ErrorCode::kUnavailable, "sending: {}", errno_text());
    pollfd entry{descriptor_, POLLOUT, 0};
    if (::poll(&entry, 1, kSendWaitMs) <= 0)
      return fail(ErrorCode::kUnavailable, "sending: the peer does not read");
  }
  return {};
}

std::optional<std::string> LineSocket::take_line() {
  const std::size_t end = buffer_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return line;
}

Result<std::optional<std::string>> LineSocket::receive(std::int64_t wait_ms) {
  const std::int64_t until_ms = now_ms() + wait_ms;
  for (;;) {
    if (auto line = take_line()) return line;
    if (buffer_.size() > kLineBytesMax)
      return fail(ErrorCode::kUnavailable, "a line of more than {} bytes", kLineBytesMax);
    char bytes[16 * 1024];
    const ssize_t n = ::recv(descriptor_, bytes, sizeof bytes, 0);
    if (n > 0) {
      buffer_.append(bytes, static_cast<std::size_t>(n));
      continue;
    }
    if (n == 0) return fail(ErrorCode::kUnavailable, "the peer hung up");
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
      return fail(ErrorCode::kUnavailable, "receiving: {}", errno_text());
    const std::int64_t left_ms = until_ms - now_ms();
    if (left_ms <= 0) return std::optional<std::string>{};
    wait_readable(descriptor_, left_ms);
  }
}

}  // namespace layby::agent
