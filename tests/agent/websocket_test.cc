// Frames of WebSocket, against the examples of RFC 6455 and against what it forbids.
#include "agent/websocket.h"

#include <catch2/catch.hpp>

#include "crypto/websocket_key.h"

using namespace layby;
using namespace layby::agent;

namespace {

using Kind = WebSocketMessage::Kind;

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

ErrorCode refusal(const std::string& frame, WebSocketEnd peer = WebSocketEnd::kServer) {
  WebSocketReader reader(peer);
  reader.feed(frame);
  const auto message = reader.next();
  REQUIRE(!message.has_value());
  return message.error().code();
}

}  // namespace

TEST_CASE("the examples of RFC 6455, sections 1.3 and 5.7") {
  CHECK(crypto::websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(crypto::make_websocket_key().size() == 24);
  CHECK(websocket_frame({Kind::kText, "Hello"}, WebSocketEnd::kServer) ==
        bytes({0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}));
  const std::string masked =
      bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58});
  CHECK(websocket_frame({Kind::kText, "Hello"}, WebSocketEnd::kClient, {0x37, 0xfa, 0x21, 0x3d}) ==
        masked);
  WebSocketReader reader(WebSocketEnd::kClient);
  for (const char byte : masked) {
    CHECK(!reader.next()->has_value());
    reader.feed(std::string(1, byte));
  }
  CHECK((*reader.next())->payload == "Hello");

  WebSocketReader server(WebSocketEnd::kServer);  // fragments with a ping between them
  server.feed(bytes({0x01, 0x03, 0x48, 0x65, 0x6c, 0x89, 0x01, 0x21, 0x80, 0x02, 0x6c, 0x6f}));
  auto ping = *server.next();
  CHECK((ping->kind == Kind::kPing && ping->payload == "!"));
  CHECK((*server.next())->payload == "Hello");
}

TEST_CASE("lengths of all three sizes travel there and back") {
  for (const std::size_t length : {0, 1, 125, 126, 65'535, 65'536, 300'000}) {
    const std::string text(length, 'x');
    for (const WebSocketEnd end : {WebSocketEnd::kClient, WebSocketEnd::kServer}) {
      WebSocketReader reader(end);
      reader.feed(websocket_frame({Kind::kText, text}, end, {1, 2, 3, 4}));
      const auto message = reader.next();
      REQUIRE(message.has_value());
      CHECK((*message)->payload == text);
    }
  }
}

TEST_CASE("what RFC 6455 forbids ends the connection") {
  CHECK(refusal(bytes({0x01, 0x00, 0x00, 0x00})) == ErrorCode::kBadFormat);  // fragment of nothing
  CHECK(refusal(bytes({0xc1, 0x00})) == ErrorCode::kBadFormat);              // reserved bit
  CHECK(refusal(bytes({0x81, 0x80, 0, 0, 0, 0})) == ErrorCode::kBadFormat);  // masked by a server
  CHECK(refusal(bytes({0x81, 0x00}), WebSocketEnd::kClient) == ErrorCode::kBadFormat);
  CHECK(refusal(bytes({0x09, 0x00})) == ErrorCode::kBadFormat);              // a ping in pieces
  CHECK(refusal(bytes({0x89, 0x7e, 0x00, 0x80})) == ErrorCode::kBadFormat);  // a long ping
  CHECK(refusal(bytes({0x80, 0x00})) == ErrorCode::kBadFormat);              // goes on with nothing
  CHECK(refusal(bytes({0x01, 0x00, 0x81, 0x00})) == ErrorCode::kBadFormat);
  CHECK(refusal(bytes({0x82, 0x00})) == ErrorCode::kBadFormat);  // binary
  CHECK(refusal(bytes({0x83, 0x00})) == ErrorCode::kBadFormat);
  CHECK(refusal(bytes({0x81, 0x02, 0xc0, 0xaf})) == ErrorCode::kBadFormat);  // no UTF-8
  CHECK(refusal(bytes({0x81, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0})) == ErrorCode::kTooLarge);
  WebSocketReader endless(WebSocketEnd::kServer);
  const std::string piece = bytes({0x01, 0x7e, 0xff, 0xff}) + std::string(0xffff, 'x');
  const std::string more = bytes({0x00, 0x7e, 0xff, 0xff}) + std::string(0xffff, 'x');
  endless.feed(piece);
  std::optional<ErrorCode> code;
  for (int i = 0; i < 20 && !code; ++i) {
    const auto message = endless.next();
    if (!message) code = message.error().code();
    endless.feed(more);
  }
  CHECK(code == ErrorCode::kTooLarge);
}
