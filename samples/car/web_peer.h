// One connection of the simulated car: HTTP/1.1 first, and a WebSocket where the peer asks for one
// (RFC 6455). Not blocking; one thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "agent/websocket.h"
#include "base/result.h"

namespace layby::samples {

struct WebRequest {
  std::string method, target;
  std::map<std::string, std::string> headers{};  // names in lower case
  std::string body{};

  std::string header(const std::string& name) const;
  bool wants_websocket() const { return !header("sec-websocket-key").empty(); }
  // A page of somebody else's in a browser must not turn our controls: neither one that names
  // another origin, nor one whose name was made to lead here (then `Host` is that name).
  bool is_of_own_page() const;
};

// Without the empty line at its end.
Result<WebRequest> parse_head(const std::string& head);

class WebPeer {
 public:
  // Takes over a connected descriptor.
  explicit WebPeer(int descriptor);
  ~WebPeer();
  WebPeer(WebPeer&&) = delete;

  int descriptor() const { return descriptor_; }
  bool has_output() const { return !output_.empty(); }
  bool is_websocket() const { return frames_.has_value(); }

  // Reads what has arrived. An error: the peer is gone, or talks nonsense.
  Result<void> read();
  // The next whole request, before it is a WebSocket.
  Result<std::optional<WebRequest>> next_request();
  // The next text message after. Pings are answered here.
  Result<std::optional<std::string>> next_message();

  void respond(int status, std::string_view type, std::string_view body);
  // Shakes hands and is a WebSocket of this sub-protocol from then on.
  void become_websocket(const WebRequest& request, std::string_view subprotocol);
  void send_message(std::string_view text);
  // Sends as much as the peer takes now. An error: it is gone, or has stopped reading.
  Result<void> flush();

 private:
  int descriptor_;
  std::string input_, output_;
  std::optional<agent::WebSocketReader> frames_;
};

}  // namespace layby::samples
