#include "samples/car/web_peer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "crypto/websocket_key.h"

namespace layby::samples {
namespace {

constexpr std::size_t kHeadBytesMax = 16 * 1024, kBodyBytesMax = 64 * 1024;
constexpr std::size_t kOutputBytesMax = 8 * 1024 * 1024;

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    default: return "Error";
  }
}

// RFC 9110, 7.2: a name of this machine itself, with or without a port.
bool is_this_machine(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  const bool has_port =
      colon != std::string::npos && host.find_first_not_of("0123456789", colon + 1) == host.npos;
  const std::string name = host.substr(0, has_port ? colon : host.size());
  return name == "127.0.0.1" || name == "localhost" || name == "[::1]";
}

}  // namespace

Result<WebRequest> parse_head(const std::string& head) {
  WebRequest request;
  std::size_t end = head.find("\r\n");
  const std::string line = head.substr(0, end);
  const std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == last || line.substr(last + 1) != "HTTP/1.1")
    return fail(ErrorCode::kBadFormat, "no request of HTTP/1.1");
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  while (end != std::string::npos) {
    const std::size_t begin = end + 2;
    end = head.find("\r\n", begin);
    const std::string field = head.substr(begin, end - begin);
    const std::size_t colon = field.find(':');
    if (colon == std::string::npos) return fail(ErrorCode::kBadFormat, "a header without a colon");
    request.headers[lower(field.substr(0, colon))] = trimmed(field.substr(colon + 1));
  }
  return request;
}

std::string WebRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

bool WebRequest::is_of_own_page() const {
  const std::string host = lower(header("host")), origin = lower(header("origin"));
  return is_this_machine(host) && (origin.empty() || origin == "http://" + host);
}

WebPeer::WebPeer(int descriptor) : descriptor_(descriptor) {
  ::fcntl(descriptor_, F_SETFL, ::fcntl(descriptor_, F_GETFL) | O_NONBLOCK);
}

WebPeer::~WebPeer() {
  ::close(descriptor_);
}

Result<void> WebPeer::read() {
  char bytes[16 * 1024];
  for (;;) {
    const ssize_t n = ::recv(descriptor_, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (n <= 0) return fail(ErrorCode::kUnavailable, "the peer is gone");
    const std::string_view part(bytes, static_cast<std::size_t>(n));
    if (frames_) {
      frames_->feed(part);
    } else {
      input_ += part;
    }
  }
}

Result<std::optional<WebRequest>> WebPeer::next_request() {
  const std::size_t end = input_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (input_.size() > kHeadBytesMax) return fail(ErrorCode::kTooLarge, "an endless head");
    return std::optional<WebRequest>{};
  }
  WebRequest request = TRY(parse_head(input_.substr(0, end)));
  std::size_t length = 0;
  const std::string text = request.header("content-length");
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (!text.empty() && (error != std::errc() || at != text.data() + text.size()))
    return fail(ErrorCode::kBadFormat, "no Content-Length");
  if (length > kBodyBytesMax) return fail(ErrorCode::kTooLarge, "a body of {} bytes", length);
  if (input_.size() - end - 4 < length) return std::optional<WebRequest>{};
  request.body = input_.substr(end + 4, length);
  input_.erase(0, end + 4 + length);
  return std::optional<WebRequest>(std::move(request));
}

Result<std::optional<std::string>> WebPeer::next_message() {
  using Kind = agent::WebSocketMessage::Kind;
  for (;;) {
    auto message = TRY(frames_->next());
    if (!message) return std::optional<std::string>{};
    switch (message->kind) {
      case Kind::kText: return std::optional<std::string>(std::move(message->payload));
      case Kind::kPing:
        output_ +=
            agent::websocket_frame({Kind::kPong, message->payload}, agent::WebSocketEnd::kServer);
        break;
      case Kind::kPong: break;
      case Kind::kClose: return fail(ErrorCode::kUnavailable, "the peer said good-bye");
    }
  }
}

void WebPeer::respond(int status, std::string_view type, std::string_view body) {
  output_ += fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'self'\r\n\r\n",
      status, reason_of(status), type, body.size());
  output_ += body;
}

void WebPeer::become_websocket(const WebRequest& request, std::string_view subprotocol) {
  output_ += fmt::format(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
      crypto::websocket_accept(request.header("sec-websocket-key")), subprotocol);
  frames_.emplace(agent::WebSocketEnd::kClient);
  frames_->feed(input_);
  input_.clear();
}

void WebPeer::send_message(std::string_view text) {
  output_ += agent::websocket_frame({agent::WebSocketMessage::Kind::kText, std::string(text)},
                                    agent::WebSocketEnd::kServer);
}

Result<void> WebPeer::flush() {
  std::size_t at = 0;
  while (at < output_.size()) {
    const ssize_t n = ::send(descriptor_, output_.data() + at, output_.size() - at, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
      return fail(ErrorCode::kUnavailable, "the peer is gone");
    if (n < 0) break;
    at += static_cast<std::size_t>(n);
  }
  output_.erase(0, at);
  if (output_.size() > kOutputBytesMax) return fail(ErrorCode::kTooLarge, "the peer does not read");
  return {};
}

}  // namespace layby::samples
