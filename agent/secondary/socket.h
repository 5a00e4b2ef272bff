// Messages over a local stream socket (AF_UNIX), each within a time limit: whoever is at the other
// end, nobody waits for it longer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "agent/secondary/message.h"

namespace layby::secondary {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket();
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close();

 private:
  int descriptor_ = -1;
};

// kInvalidArgument for what is no absolute path, or longer than a socket's may be.
Result<void> check_socket_path(const std::string& path);
// kUnavailable if nobody listens there.
Result<Socket> connect_to(const std::string& path);
// In place of what was left there by a process that is gone. kAlreadyExists for anything else than
// a socket at this path. Mode 0660: who may speak to the ECU is the directory's and the group's
// business.
Result<Socket> listen_at(const std::string& path);

// kTimeout at the deadline, kUnavailable when the other end is gone; errors of `encode`.
Result<void> send_message(const Socket& socket, const Message& message, std::int64_t within_ms);
// Errors of read_header besides. After any error the stream is of no use any more.
Result<Message> receive_message(const Socket& socket, std::int64_t within_ms);

}  // namespace layby::secondary
