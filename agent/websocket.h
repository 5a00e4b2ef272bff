// WebSocket frames (RFC 6455, section 5), for both ends of a connection: pure, no socket. No
// extensions. Text messages only; a binary one is an error, as VISS has none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace layby::agent {

// A message of VISS is a few kilobytes; one this long is a peer gone mad.
constexpr std::size_t kWebSocketMessageBytesMax = 1024 * 1024;

enum class WebSocketEnd : std::uint8_t { kClient, kServer };

struct WebSocketMessage {
  enum class Kind : std::uint8_t { kText, kPing, kPong, kClose } kind = Kind::kText;
  std::string payload;
};

// The bytes of one frame that `from` sends. A client's are masked, with `mask`, which must not be
// foreseeable; a server's are not, and `mask` is ignored.
std::string websocket_frame(const WebSocketMessage& message, WebSocketEnd from,
                            std::array<std::uint8_t, 4> mask = {});

// Puts a peer's bytes together again: fragments to messages, control frames in between them.
class WebSocketReader {
 public:
  // `peer` is the end that sends.
  explicit WebSocketReader(WebSocketEnd peer) : peer_(peer) {}

  void feed(std::string_view bytes) { buffer_ += bytes; }
  // The next whole message; nothing while it is not all there. kBadFormat for what RFC 6455
  // forbids, kTooLarge beyond kWebSocketMessageBytesMax: the connection is of no more use then.
  Result<std::optional<WebSocketMessage>> next();

 private:
  struct Frame {
    std::uint8_t opcode = 0;
    bool final = true;
    std::string payload;
  };
  Result<std::optional<Frame>> next_frame();
  Result<std::optional<WebSocketMessage>> take(Frame frame);

  const WebSocketEnd peer_;
  std::string buffer_;
  std::size_t used_ = 0;                  // of the buffer
  std::optional<std::string> fragments_;  // of a message that has begun
};

}  // namespace layby::agent
