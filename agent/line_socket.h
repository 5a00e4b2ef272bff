// JSON lines over a Unix stream socket: how the agent and the simulated car talk. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace layby::agent {

// A longer line is a peer gone mad.
constexpr std::size_t kLineBytesMax = 1024 * 1024;

class LineSocket {
 public:
  // kUnavailable when nobody listens.
  static Result<LineSocket> connect(const std::string& path);
  // Takes over a connected descriptor.
  explicit LineSocket(int descriptor);
  ~LineSocket();
  LineSocket(LineSocket&& other) noexcept;
  LineSocket& operator=(LineSocket&& other) noexcept;

  int descriptor() const { return descriptor_; }

  // Writes the line and a line feed; waits while the peer is slow, up to a few seconds.
  Result<void> send(const std::string& line);
  // The next line, without its line feed; nothing if none came within `wait_ms` (0: what is there).
  // kUnavailable when the peer is gone.
  Result<std::optional<std::string>> receive(std::int64_t wait_ms);

 private:
  std::optional<std::string> take_line();

  int descriptor_;
  std::string buffer_;
};

// Waits until the descriptor is readable; false when the time is over or a signal came.
bool wait_readable(int descriptor, std::int64_t wait_ms);

}  // namespace layby::agent
