#include "agent/websocket_client.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "agent/secondary/socket.h"
#include "crypto/random.h"
#include "crypto/websocket_key.h"

namespace layby::agent {
namespace {

constexpr long kConnectMsMax = 3'000;
constexpr std::int64_t kHandshakeMsMax = 3'000;
constexpr std::int64_t kSendMsMax = 5'000;
// What comes without a pause is looked at for this long beyond what the caller waits.
constexpr std::int64_t kPassMs = 20;
constexpr int kControlsMax = 1'000;
constexpr std::size_t kHeaderBytesMax = 16 * 1024;
constexpr std::size_t kReadBytes = 16 * 1024;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Of an HTTP head, without its status line; the last one of a name. "" if there is none.
std::string_view field(std::string_view head, std::string_view name) {
  std::string_view value;
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;) {
    const std::size_t begin = at + 2, end = head.find("\r\n", begin);
    const std::string_view line = head.substr(begin, end - begin);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && lower(line.substr(0, colon)) == name)
      value = trimmed(line.substr(colon + 1));
    at = end;
  }
  return value;
}

bool is_tls_error(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR ||
         code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_SSL_ISSUER_ERROR;
}

// libcurl's sockets are inherited by programs that the process starts; ours are not.
int close_on_exec(void*, curl_socket_t socket, curlsocktype) {
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  return CURL_SOCKOPT_OK;
}

struct Address {
  std::string http_url;   // as libcurl wants it
  std::string authority;  // HOST:PORT
  std::string resource;
};

bool is_of(std::string_view text, std::string_view others) {
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           others.find(c) != std::string_view::npos;
  });
}

// HOST or HOST:PORT; an address of IPv6 stands in brackets.
bool is_authority(std::string_view text) {
  std::size_t end = std::min(text.find(':'), text.size());
  bool is_host = is_of(text.substr(0, end), ".-_");
  if (text.starts_with('[')) {
    end = std::min(text.find(']'), text.size() - 1) + 1;
    is_host = text[end - 1] == ']' && is_of(text.substr(1, end - 2), ":.");
  }
  if (!is_host || end == text.size()) return is_host;
  const std::string_view port = text.substr(end + 1);
  std::uint16_t number = 0;
  const auto [at, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return text[end] == ':' && error == std::errc() && at == port.data() + port.size() && number > 0;
}

Result<Address> parse_url(const std::string& url) {
  const bool is_tls = url.starts_with("wss://");
  if (!is_tls && !url.starts_with("ws://"))
    return fail(ErrorCode::kInvalidArgument, "{}: must begin with ws:// or wss://", url);
  const std::string rest = url.substr(is_tls ? 6 : 5);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  Address address;
  address.authority = rest.substr(0, slash);
  address.resource = slash < rest.size() ? rest.substr(slash) : "/";
  const auto is_plain = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };
  if (!is_authority(address.authority) || !std::ranges::all_of(address.resource, is_plain))
    return fail(ErrorCode::kInvalidArgument,
                "{}: is no address of a WebSocket server: HOST:PORT is wanted", url);
  address.http_url = (is_tls ? "https://" : "http://") + address.authority + "/";
  return address;
}

// RFC 6455, section 4.1: what the server's answer must say.
Result<void> check_answer(std::string_view head, const std::string& key,
                          const WebSocketOptions& options) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kBadFormat, "{}: is no WebSocket server of {}: {}", options.url,
                options.subprotocol, why);
  };
  if (!head.starts_with("HTTP/1.1 101"))
    return refuse(head.substr(0, std::min<std::size_t>(head.find("\r\n"), 80)));
  if (lower(field(head, "upgrade")) != "websocket") return refuse("no Upgrade: websocket");
  if (lower(field(head, "connection")).find("upgrade") == std::string::npos)
    return refuse("no Connection: Upgrade");
  if (field(head, "sec-websocket-accept") != crypto::websocket_accept(key))
    return refuse("another Sec-WebSocket-Accept");
  if (field(head, "sec-websocket-protocol") != options.subprotocol)
    return refuse("another sub-protocol");
  if (!field(head, "sec-websocket-extensions").empty())
    return refuse("extensions that nobody asked for");
  return {};
}

}  // namespace

// A byte stream over libcurl's connection.
struct WebSocketClient::Connection {
  CURL* easy = nullptr;
  curl_socket_t socket = CURL_SOCKET_BAD;

  ~Connection() { curl_easy_cleanup(easy); }

  Result<void> open(const WebSocketOptions& options, const std::string& http_url) {
    char text[CURL_ERROR_SIZE] = {};
    easy = curl_easy_init();
    if (easy == nullptr) return fail(ErrorCode::kInternal, "libcurl gives no handle");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_URL, http_url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");  // a car's own network has none
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectMsMax);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, close_on_exec);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (!options.unix_path.empty())
      curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options.unix_path.c_str());
    if (!options.ca_path.empty()) {
      curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_path.c_str());
      curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    }
    if (!options.certificate_path.empty()) {
      curl_easy_setopt(easy, CURLOPT_SSLCERT, options.certificate_path.c_str());
      curl_easy_setopt(easy, CURLOPT_SSLKEY, options.key_path.c_str());
    }
    const CURLcode result = curl_easy_perform(easy);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, nullptr);  // it lives as long as this function
    // libcurl's own text has milliseconds in it, and would be another one at each try.
    if (result != CURLE_OK)
      return fail(is_tls_error(result) ? ErrorCode::kUnauthenticated : ErrorCode::kUnavailable,
                  "{}: {}", options.unix_path.empty() ? options.url : options.unix_path,
                  is_tls_error(result) && text[0] != '\0' ? text : curl_easy_strerror(result));
    curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &socket);
    return options.unix_path.empty() ? Result<void>{} : check_owner(options.unix_path);
  }

  // Who may put a socket into its place is for the directory to say; who answers, for this.
  Result<void> check_owner(const std::string& path) const {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
      return fail(ErrorCode::kUnauthenticated, "{}: nobody knows who answers", path);
    if (peer.uid == 0 || peer.uid == ::geteuid()) return {};
    return fail(ErrorCode::kUnauthenticated, "{}: user {} answers, not root or our own", path,
                peer.uid);
  }

  Result<void> send(std::string_view bytes) {
    while (!bytes.empty()) {
      std::size_t sent = 0;
      const CURLcode result = curl_easy_send(easy, bytes.data(), bytes.size(), &sent);
      if (result == CURLE_OK) {
        bytes.remove_prefix(sent);
        continue;
      }
      if (result != CURLE_AGAIN)
        return fail(ErrorCode::kUnavailable, "sending: {}", curl_easy_strerror(result));
      pollfd entry{socket, POLLOUT, 0};
      if (::poll(&entry, 1, static_cast<int>(kSendMsMax)) <= 0)
        return fail(ErrorCode::kUnavailable, "sending: the peer does not read");
    }
    return {};
  }

  // What is there, at most one read; empty for nothing.
  Result<std::string> receive() {
    std::string bytes(kReadBytes, '\0');
    std::size_t got = 0;
    const CURLcode result = curl_easy_recv(easy, bytes.data(), bytes.size(), &got);
    if (result == CURLE_AGAIN) return std::string();
    if (result == CURLE_OK && got == 0) return fail(ErrorCode::kUnavailable, "the peer hung up");
    // After the handshake TLS 1.3 says here that the server does not like our certificate.
    if (result != CURLE_OK)
      return fail(ErrorCode::kUnavailable, "receiving: {}", curl_easy_strerror(result));
    bytes.resize(got);
    return bytes;
  }

  void wait(std::int64_t wait_ms) const {
    pollfd entry{socket, POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(wait_ms));
  }
};

WebSocketClient::WebSocketClient(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)) {}

WebSocketClient::~WebSocketClient() {
  std::array<std::uint8_t, 4> mask;
  crypto::fill_random(mask);
  const std::string normal = {'\x03', '\xe8'};  // 1000 (RFC 6455, 7.4.1)
  const std::string frame =
      websocket_frame({WebSocketMessage::Kind::kClose, normal}, WebSocketEnd::kClient, mask);
  std::size_t sent = 0;
  (void)curl_easy_send(connection_->easy, frame.data(), frame.size(), &sent);
}

Result<void> check_websocket_options(const WebSocketOptions& options) {
  if (!options.unix_path.empty()) TRY_VOID(secondary::check_socket_path(options.unix_path));
  return parse_url(options.url).map([](const Address&) {});
}

Result<std::unique_ptr<WebSocketClient>> WebSocketClient::connect(const WebSocketOptions& options) {
  const Address address = TRY(parse_url(options.url));
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(ErrorCode::kInternal, "libcurl does not start");
  auto connection = std::make_unique<Connection>();
  TRY_VOID(connection->open(options, address.http_url));
  const std::string key = crypto::make_websocket_key();
  TRY_VOID(connection->send(
      fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Protocol: {}\r\n\r\n",
                  address.resource, address.authority, key, options.subprotocol)));
  std::string head;
  const std::int64_t until_ms = now_ms() + kHandshakeMsMax;
  while (head.find("\r\n\r\n") == std::string::npos) {
    if (head.size() > kHeaderBytesMax)
      return fail(ErrorCode::kBadFormat, "{}: an endless answer", options.url);
    const std::string bytes = TRY(connection->receive());
    head += bytes;
    if (!bytes.empty()) continue;
    const std::int64_t left_ms = until_ms - now_ms();
    if (left_ms <= 0) return fail(ErrorCode::kUnavailable, "{}: does not answer", options.url);
    connection->wait(left_ms);
  }
  const std::size_t end = head.find("\r\n\r\n");
  TRY_VOID(check_answer(std::string_view(head).substr(0, end + 2), key, options));
  std::unique_ptr<WebSocketClient> client(new WebSocketClient(std::move(connection)));
  client->reader_.feed(std::string_view(head).substr(end + 4));
  return client;
}

int WebSocketClient::descriptor() const {
  return connection_->socket;
}

Result<void> WebSocketClient::send_frame(const WebSocketMessage& message) {
  std::array<std::uint8_t, 4> mask;
  crypto::fill_random(mask);
  return connection_->send(websocket_frame(message, WebSocketEnd::kClient, mask));
}

Result<void> WebSocketClient::send(std::string_view text) {
  return send_frame({WebSocketMessage::Kind::kText, std::string(text)});
}

Result<std::optional<std::string>> WebSocketClient::receive(std::int64_t wait_ms) {
  using Kind = WebSocketMessage::Kind;
  const std::int64_t until_ms = now_ms() + wait_ms;
  for (bool is_first = true;; is_first = false) {
    // Bytes that keep coming, and are no text, must not hold us.
    if (!is_first && now_ms() > until_ms + kPassMs) return std::optional<std::string>{};
    auto message = TRY(reader_.next());
    if (!message) {
      const std::string bytes = TRY(connection_->receive());
      reader_.feed(bytes);
      if (!bytes.empty()) continue;
      const std::int64_t left_ms = until_ms - now_ms();
      if (left_ms <= 0) return std::optional<std::string>{};
      connection_->wait(left_ms);
      continue;
    }
    if (message->kind != Kind::kText && ++controls_ > kControlsMax)
      return fail(ErrorCode::kBadFormat, "WebSocket: {} control frames and no text", controls_);
    switch (message->kind) {
      case Kind::kText:
        controls_ = 0;
        return std::optional<std::string>(std::move(message->payload));
      case Kind::kPing: TRY_VOID(send_frame({Kind::kPong, std::move(message->payload)})); break;
      case Kind::kPong: break;
      case Kind::kClose:
        // The answer to it is the last that is sent (RFC 6455, 5.5.1); whether it arrives does not
        // matter any more.
        (void)send_frame({Kind::kClose, message->payload.substr(0, 2)});
        return fail(ErrorCode::kUnavailable, "the peer has closed the connection");
    }
  }
}

}  // namespace layby::agent
