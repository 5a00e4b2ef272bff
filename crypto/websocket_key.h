// The two base64 texts of a WebSocket handshake (RFC 6455, section 4). SHA-1 proves nothing here
// but that the peer speaks WebSocket: whom one speaks to is TLS's to say.
#pragma once

#include <string>
#include <string_view>

namespace layby::crypto {

// Sec-WebSocket-Key: sixteen random bytes.
std::string make_websocket_key();
// Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

}  // namespace layby::crypto
