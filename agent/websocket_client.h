// The client's end of a WebSocket: over TCP, TLS with a client certificate, or a Unix socket. The
// bytes are carried by libcurl, whose TLS the rest of the agent uses too. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/websocket.h"
#include "base/result.h"

namespace layby::agent {

struct WebSocketOptions {
  std::string url;          // ws://HOST:PORT/ or wss://HOST:PORT/
  std::string unix_path{};  // the socket to connect to instead; the URL's host is then only a name
  std::string subprotocol{};
  // For wss only. Without `ca_path` the system's authorities count; without a certificate none is
  // shown. PEM files.
  std::string ca_path{}, certificate_path{}, key_path{};
};

// Whether `options` name something that can be connected to: kInvalidArgument with what is wrong.
// Nothing is looked at but the texts.
Result<void> check_websocket_options(const WebSocketOptions& options);

class WebSocketClient {
 public:
  // Connects and shakes hands; waits for a few seconds at most. kUnavailable where nobody answers,
  // kUnauthenticated where TLS fails, kBadFormat where something answers that is no such server.
  static Result<std::unique_ptr<WebSocketClient>> connect(const WebSocketOptions& options);
  ~WebSocketClient();  // says good-bye, if that does not have to wait

  // Readable when `receive` may have something. What one read left over is not seen by poll():
  // receive until there is nothing.
  int descriptor() const;

  // Waits while the peer is slow, up to a few seconds. kUnavailable when it is gone.
  Result<void> send(std::string_view text);
  // The next text message; nothing if none came within `wait_ms` (0: what is there), or none was
  // whole some milliseconds after that, whatever else came. Answers pings. kUnavailable when the
  // peer is gone or has said good-bye, kBadFormat when it sends nothing but control frames.
  Result<std::optional<std::string>> receive(std::int64_t wait_ms);

 private:
  struct Connection;
  explicit WebSocketClient(std::unique_ptr<Connection> connection);
  Result<void> send_frame(const WebSocketMessage& message);

  std::unique_ptr<Connection> connection_;
  WebSocketReader reader_{WebSocketEnd::kServer};
  int controls_ = 0;  // frames since the last text
};

}  // namespace layby::agent
