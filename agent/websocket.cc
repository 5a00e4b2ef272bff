#include "agent/websocket.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/utf8.h"

namespace layby::agent {
namespace {

// RFC 6455, section 11.8
enum Opcode : std::uint8_t { kContinuation = 0, kText = 1, kClose = 8, kPing = 9, kPong = 10 };

constexpr std::uint8_t kFinal = 0x80, kReserved = 0x70, kOpcodeBits = 0x0f;
constexpr std::uint8_t kMasked = 0x80, kLengthBits = 0x7f, kLength16 = 126, kLength64 = 127;
constexpr std::size_t kControlBytesMax = 125;

Opcode opcode_of(WebSocketMessage::Kind kind) {
  switch (kind) {
    case WebSocketMessage::Kind::kText: return kText;
    case WebSocketMessage::Kind::kPing: return kPing;
    case WebSocketMessage::Kind::kPong: return kPong;
    case WebSocketMessage::Kind::kClose: return kClose;
  }
  LAYBY_ASSERT(false);
}

bool is_control(std::uint8_t opcode) {
  return opcode >= kClose;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

void append_length(std::string& out, std::uint64_t length, std::uint8_t mask_bit) {
  const auto byte = [&out](std::uint64_t value) { out += static_cast<char>(value & 0xff); };
  if (length < kLength16) return byte(mask_bit | length);
  const int bytes = length <= 0xffff ? 2 : 8;
  byte(mask_bit | (bytes == 2 ? kLength16 : kLength64));
  for (int i = bytes - 1; i >= 0; --i) byte(length >> (8 * i));
}

}  // namespace

std::string websocket_frame(const WebSocketMessage& message, WebSocketEnd from,
                            std::array<std::uint8_t, 4> mask) {
  const std::uint8_t opcode = opcode_of(message.kind);
  LAYBY_ASSERT(!is_control(opcode) || message.payload.size() <= kControlBytesMax);
  const bool masked = from == WebSocketEnd::kClient;
  std::string out(1, static_cast<char>(kFinal | opcode));
  append_length(out, message.payload.size(), masked ? kMasked : 0);
  if (!masked) return out + message.payload;
  for (const std::uint8_t byte : mask) out += static_cast<char>(byte);
  for (std::size_t i = 0; i < message.payload.size(); ++i)
    out += static_cast<char>(static_cast<std::uint8_t>(message.payload[i]) ^ mask[i % mask.size()]);
  return out;
}

Result<std::optional<WebSocketReader::Frame>> WebSocketReader::next_frame() {
  const std::string_view rest = std::string_view(buffer_).substr(used_);
  const auto byte = [&rest](std::size_t i) { return static_cast<std::uint8_t>(rest[i]); };
  if (rest.size() < 2) return std::optional<Frame>{};
  Frame frame;
  frame.opcode = byte(0) & kOpcodeBits;
  frame.final = (byte(0) & kFinal) != 0;
  if ((byte(0) & kReserved) != 0)
    return fail(ErrorCode::kBadFormat, "WebSocket: reserved bits, and no extension was agreed on");
  const bool masked = (byte(1) & kMasked) != 0;
  if (masked != (peer_ == WebSocketEnd::kClient))
    return fail(ErrorCode::kBadFormat, "WebSocket: masked by a server, or not by a client");
  std::uint64_t length = byte(1) & kLengthBits;
  if (is_control(frame.opcode) && (length > kControlBytesMax || !frame.final))
    return fail(ErrorCode::kBadFormat, "WebSocket: a control frame that is long or in pieces");
  const std::size_t length_bytes = length == kLength64 ? 8 : length == kLength16 ? 2 : 0;
  std::size_t at = 2 + length_bytes;
  if (rest.size() < at + (masked ? 4 : 0)) return std::optional<Frame>{};
  if (length_bytes > 0) length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length = length << 8 | byte(2 + i);
  if (length > kWebSocketMessageBytesMax)
    return fail(ErrorCode::kTooLarge, "WebSocket: a frame of {} bytes", length);
  const std::string_view mask = rest.substr(at, masked ? 4 : 0);
  at += mask.size();
  if (rest.size() - at < length) return std::optional<Frame>{};
  frame.payload = rest.substr(at, length);
  for (std::size_t i = 0; masked && i < frame.payload.size(); ++i) frame.payload[i] ^= mask[i % 4];
  used_ += at + length;
  return std::optional<Frame>(std::move(frame));
}

Result<std::optional<WebSocketMessage>> WebSocketReader::take(Frame frame) {
  using Kind = WebSocketMessage::Kind;
  switch (frame.opcode) {
    case kPing: return WebSocketMessage{Kind::kPing, std::move(frame.payload)};
    case kPong: return WebSocketMessage{Kind::kPong, std::move(frame.payload)};
    case kClose: return WebSocketMessage{Kind::kClose, std::move(frame.payload)};
    case kText:
    case kContinuation: break;
    default: return fail(ErrorCode::kBadFormat, "WebSocket: opcode {}", frame.opcode);
  }
  if ((frame.opcode == kText) == fragments_.has_value())
    return fail(ErrorCode::kBadFormat, "WebSocket: fragments in disorder");
  // A fragment brings something, or ends the message: others may come for ever.
  if (frame.opcode == kContinuation && frame.payload.empty() && !frame.final)
    return fail(ErrorCode::kBadFormat, "WebSocket: a fragment of nothing");
  std::string text = std::move(fragments_).value_or("") + frame.payload;
  fragments_.reset();
  if (text.size() > kWebSocketMessageBytesMax)
    return fail(ErrorCode::kTooLarge, "WebSocket: a message of more than {} bytes",
                kWebSocketMessageBytesMax);
  if (!frame.final) {
    fragments_ = std::move(text);
    return std::optional<WebSocketMessage>{};
  }
  if (!is_utf8(text)) return fail(ErrorCode::kBadFormat, "WebSocket: a text that is not UTF-8");
  return WebSocketMessage{Kind::kText, std::move(text)};
}

Result<std::optional<WebSocketMessage>> WebSocketReader::next() {
  for (;;) {
    auto frame = TRY(next_frame());
    if (!frame) break;
    auto message = TRY(take(std::move(*frame)));
    if (message) return message;
  }
  buffer_.erase(0, used_);  // once for all that was read, not once a frame
  used_ = 0;
  return std::optional<WebSocketMessage>{};
}

}  // namespace layby::agent
