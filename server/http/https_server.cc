#include "server/http/https_server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/optional.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "base/assert.h"
#include "base/disk.h"
#include "server/http/problem.h"
#include "server/http/response_head.h"
#include "server/http/tls_context.h"

namespace layby::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

constexpr std::size_t kFileReadBytes = 256 * kKiB;
constexpr std::size_t kWriteBytes = 64 * kKiB;  // what one write timeout is for
constexpr std::uint64_t kAskBytes = 1 * kMiB;   // of a file, between two questions whether to go on
static_assert(kAskBytes % kFileReadBytes == 0);
constexpr std::size_t kFirstReadBytes = 4 * kKiB;
constexpr std::uint64_t kBodyBytesPerSecondMin = 8 * kKiB;
// After a refusal that leaves a body unread: closing at once would reset the connection and the
// client would never see the answer. So much is thrown away, for at most so long.
constexpr std::uint64_t kDrainBytesMax = 16 * kMiB;
constexpr milliseconds kDrainTimeout{2'000};
constexpr milliseconds kShutdownTimeout{2'000};
constexpr milliseconds kAcceptRetryDelay{100};
// Beyond the grace period connections are cut; so long until the threads have noticed.
constexpr milliseconds kCutTimeout{2'000};

using TlsStream = asio::ssl::stream<beast::tcp_stream>;

// GCC 12.2 destroys capturing lambdas in co_await expressions twice: coroutines here are named
// functions that take what they keep by value.
struct Connection {
  enum class Phase { kIdle, kBusy };

  Connection(tcp::socket&& socket, asio::ssl::context& tls, std::size_t buffer_bytes)
      : stream(beast::tcp_stream(std::move(socket)), tls), buffer(buffer_bytes) {}

  beast::tcp_stream& lowest() { return stream.next_layer(); }

  TlsStream stream;
  beast::flat_buffer buffer;
  std::optional<PeerCertificate> peer;
  Phase phase = Phase::kBusy;  // touched on the connection's strand only
};

using ConnectionPtr = std::shared_ptr<Connection>;

}  // namespace

struct HttpsServer::State {
  State(HttpsOptions given, const Router& routes, const Clock& time, HttpsObserver watch)
      : options(std::move(given)),
        router(routes),
        clock(time),
        observer(std::move(watch)),
        tls(asio::ssl::context::tls_server),
        context(static_cast<int>(options.threads)),
        acceptor(asio::make_strand(context)) {}

  HttpsOptions options;
  const Router& router;
  const Clock& clock;
  HttpsObserver observer;
  RealDisk disk;
  asio::ssl::context tls;
  asio::io_context context;
  tcp::acceptor acceptor;
  std::uint16_t port = 0;
  std::atomic<bool> stopping{false};
  std::vector<std::thread> threads;

  std::mutex mutex;
  std::condition_variable emptied;
  std::set<ConnectionPtr> connections;  // guarded by mutex

  bool try_register(const ConnectionPtr& connection) {
    const std::lock_guard lock(mutex);
    if (connections.size() >= options.connections_max) return false;
    connections.insert(connection);
    return true;
  }
  void unregister(const ConnectionPtr& connection) {
    const std::lock_guard lock(mutex);
    connections.erase(connection);
    if (connections.empty()) emptied.notify_all();
  }
  void observe(ConnectionEvent event) const {
    if (observer.connection) observer.connection(event);
  }
};

namespace {

using State = HttpsServer::State;
// Outlives every coroutine: it owns the io_context whose end destroys them.
using StatePtr = State*;

// What one request came to.
enum class Next { kKeepAlive, kClose, kDrainAndClose };

struct Incoming {
  Request request;
  const Route* route = nullptr;
  std::optional<Response> refusal;
  Next next = Next::kKeepAlive;
};

using HeaderParser = http::request_parser<http::empty_body>;
using BodyParser = http::request_parser<http::string_body>;

bool is_disconnect(const error_code& error) {
  // A deadline that has passed has closed the socket as well.
  return error == beast::error::timeout || error == http::error::end_of_stream ||
         error == http::error::partial_message || error == asio::ssl::error::stream_truncated ||
         error == asio::error::eof || error == asio::error::connection_reset ||
         error == asio::error::operation_aborted || error == asio::error::broken_pipe ||
         error.category() == asio::error::get_ssl_category();
}

// What to answer when a header or body could not be read; nothing where nobody is listening.
std::optional<Response> response_to(const error_code& error, std::size_t header_bytes_max) {
  if (is_disconnect(error)) return std::nullopt;
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return problem(431, "header-too-large",
                   fmt::format("the header may have {} bytes", header_bytes_max));
  if (error == http::error::body_limit)
    return problem(413, "too-large", "the body has more bytes than this route takes");
  if (error.category() == http::make_error_code(http::error::bad_method).category())
    return problem(400, "bad-request", "this is not HTTP/1.1: " + error.message());
  return std::nullopt;
}

Result<void> read_head(const http::request_header<>& head, Request& request) {
  const std::string_view method(head.method_string().data(), head.method_string().size());
  const std::optional<Method> known = method_of(method);
  if (!known) return fail(ErrorCode::kUnsupported, "no route has the method {}", method);
  request.method = *known;
  TRY_VOID(parse_target({head.target().data(), head.target().size()}, request));
  for (const auto& field : head) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    std::string& value = request.headers[name];
    if (!value.empty()) value += ", ";
    value.append(field.value().data(), field.value().size());
  }
  if (head.version() >= 11 && request.headers.count("host") == 0)
    return fail(ErrorCode::kBadFormat, "the Host header is missing");
  return {};
}

// Finds the route and all reasons not to read the body.
Incoming judge_header(const State& server, const Connection& connection,
                      const HeaderParser& parser) {
  Incoming incoming;
  incoming.request.peer = connection.peer;
  const Next refused = parser.is_done() ? Next::kKeepAlive : Next::kDrainAndClose;
  if (Result<void> read = read_head(parser.get(), incoming.request); !read) {
    const bool unknown = read.error().code() == ErrorCode::kUnsupported;
    incoming.refusal = problem(unknown ? 501 : 400, unknown ? "unknown-method" : "bad-request",
                               read.error().message());
    incoming.next = refused;
    return incoming;
  }
  incoming.route = server.router.match(incoming.request);
  if (!incoming.route) {
    incoming.refusal = server.router.refuse(incoming.request);
    incoming.next = refused;
    return incoming;
  }
  const boost::optional<std::uint64_t> length = parser.content_length();
  if (length && *length > incoming.route->body_bytes_max) {
    incoming.refusal =
        problem(413, "too-large",
                fmt::format("the body may have {} bytes", incoming.route->body_bytes_max));
    incoming.next = Next::kDrainAndClose;
    return incoming;
  }
  if (incoming.route->admit && !parser.is_done()) {
    try {
      incoming.refusal = incoming.route->admit(incoming.request);
    } catch (const std::exception& thrown) {
      incoming.refusal = problem(Error(ErrorCode::kInternal, thrown.what()));
    }
    if (incoming.refusal) incoming.next = Next::kDrainAndClose;
  }
  return incoming;
}

// Sends `bytes` in slices with a deadline each; adds what the socket took to `taken`.
asio::awaitable<error_code> send(StatePtr server, ConnectionPtr connection, ByteSpan bytes,
                                 std::uint64_t* taken) {
  while (!bytes.empty()) {
    const ByteSpan slice = bytes.first(std::min(bytes.size(), kWriteBytes));
    connection->lowest().expires_after(server->options.write_timeout);
    const auto [error, count] = co_await asio::async_write(
        connection->stream, asio::buffer(slice.data(), slice.size()), kAwait);
    *taken += count;
    if (error) co_return error;
    bytes = bytes.subspan(slice.size());
  }
  co_return error_code{};
}

asio::awaitable<error_code> send_file_part(StatePtr server, ConnectionPtr connection,
                                           const ReadAt* file, FilePart part,
                                           const Response* response, std::uint64_t* taken) {
  Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(part.length, kFileReadBytes)));
  for (std::uint64_t done = 0; done < part.length;) {
    if (done > 0 && done % kAskBytes == 0 && response->may_go_on && !response->may_go_on())
      co_return boost::system::errc::make_error_code(boost::system::errc::operation_canceled);
    const std::uint64_t count = std::min<std::uint64_t>(part.length - done, buffer.size());
    const MutableByteSpan piece(buffer.data(), static_cast<std::size_t>(count));
    // The head has gone out already: a medium that fails now can only be told by hanging up.
    if (!file->read_at(part.offset + done, piece))
      co_return boost::system::errc::make_error_code(boost::system::errc::io_error);
    const error_code error = co_await send(server, connection, piece, taken);
    if (error) co_return error;
    done += count;
  }
  co_return error_code{};
}

// kIo where it is not there, or shorter than what is to be sent of it.
Result<std::unique_ptr<ReadAt>> open_part(Disk& disk, const FilePart& part) {
  auto file = disk.open_read(part.path);
  if (!file) return fail(ErrorCode::kIo, "{}", file.error().message());
  if ((*file)->size() < part.offset || (*file)->size() - part.offset < part.length)
    return fail(ErrorCode::kIo, "{} is too short", part.path);
  return file;
}

// Opens each file once to see that all are there: after the head only hanging up tells of it.
Result<std::uint64_t> length_of(Disk& disk, const BodyPieces& pieces) {
  std::uint64_t length = 0;
  for (const auto& piece : pieces) {
    if (const auto* text = std::get_if<std::string>(&piece)) {
      length += text->size();
      continue;
    }
    const FilePart& part = std::get<FilePart>(piece);
    TRY_VOID(open_part(disk, part).map([](auto&&) {}));
    length += part.length;
  }
  return length;
}

asio::awaitable<error_code> send_pieces(StatePtr server, ConnectionPtr connection,
                                        const BodyPieces* pieces, const Response* response,
                                        std::uint64_t* taken) {
  for (const auto& piece : *pieces) {
    error_code error;
    if (const auto* text = std::get_if<std::string>(&piece)) {
      error = co_await send(server, connection, as_bytes(*text), taken);
    } else {
      const FilePart& part = std::get<FilePart>(piece);
      const auto file = open_part(server->disk, part);
      if (!file) co_return boost::system::errc::make_error_code(boost::system::errc::io_error);
      error = co_await send_file_part(server, connection, file->get(), part, response, taken);
    }
    if (error) co_return error;
  }
  co_return error_code{};
}

// What a response has to send, found out before its head goes out.
struct Body {
  std::unique_ptr<ReadAt> file;
  std::uint64_t length = 0;
};

Result<Body> open_body(Disk& disk, const Response& response) {
  Body body;
  if (const auto* text = std::get_if<std::string>(&response.body)) {
    body.length = text->size();
  } else if (const auto* part = std::get_if<FilePart>(&response.body)) {
    body.file = TRY(open_part(disk, *part));
    body.length = part->length;
  } else {
    body.length = TRY(length_of(disk, std::get<BodyPieces>(response.body)));
  }
  return body;
}

// Returns whether the connection can go on.
asio::awaitable<bool> send_response(StatePtr server, ConnectionPtr connection, Method method,
                                    Response* response, KeepAlive keep_alive,
                                    std::uint64_t* body_bytes_sent) {
  Result<Body> body = open_body(server->disk, *response);
  if (!body) {
    Response failure = problem(body.error());
    if (response->sent)
      failure.sent = [tell = std::move(response->sent)](std::uint64_t) { tell(0); };
    *response = std::move(failure);
    body = open_body(server->disk, *response);
  }
  const auto* text = std::get_if<std::string>(&response->body);
  std::string out = response_head(*response, server->options.extra_headers,
                                  {server->clock.now(), keep_alive, body->length});
  const bool has_body = method != Method::kHead && status_allows_body(response->status);
  const std::size_t head_bytes = out.size();
  if (has_body && text) out += *text;
  std::uint64_t taken = 0;
  error_code error = co_await send(server, connection, as_bytes(out), &taken);
  *body_bytes_sent = taken > head_bytes ? taken - head_bytes : 0;
  if (!error && has_body && body->file)
    error = co_await send_file_part(server, connection, body->file.get(),
                                    std::get<FilePart>(response->body), response, body_bytes_sent);
  if (const auto* pieces = std::get_if<BodyPieces>(&response->body); !error && has_body && pieces)
    error = co_await send_pieces(server, connection, pieces, response, body_bytes_sent);
  co_return !error;
}

void call_sent(Response& response, std::uint64_t body_bytes_sent) {
  if (!response.sent) return;
  try {
    response.sent(body_bytes_sent);
  } catch (const std::exception& thrown) {
    response.diagnosis += std::string("after sending: ") + thrown.what();
  }
}

// Answers and tells everybody who wants to know.
asio::awaitable<Next> answer(StatePtr server, ConnectionPtr connection, Incoming* incoming,
                             Response* response, std::chrono::steady_clock::time_point begun) {
  Next next = incoming->next;
  if (server->stopping && next == Next::kKeepAlive) next = Next::kClose;
  const KeepAlive keep_alive = next == Next::kKeepAlive ? KeepAlive::kYes : KeepAlive::kNo;
  std::uint64_t sent = 0;
  const bool whole = co_await send_response(server, connection, incoming->request.method, response,
                                            keep_alive, &sent);
  call_sent(*response, sent);
  if (server->observer.exchange) {
    const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - begun);
    server->observer.exchange({incoming->request.method,
                               incoming->route ? std::string_view(incoming->route->path) : "",
                               response->status, sent, duration, response->diagnosis});
  }
  co_return whole ? next : Next::kClose;
}

asio::awaitable<error_code> read_body(StatePtr server, ConnectionPtr connection,
                                      HeaderParser* header, Incoming* incoming) {
  const Request& request = incoming->request;
  BodyParser parser(std::move(*header));
  parser.body_limit(incoming->route->body_bytes_max);
  const std::uint64_t expected = parser.content_length().value_or(incoming->route->body_bytes_max);
  connection->lowest().expires_after(server->options.body_timeout +
                                     milliseconds(expected * 1000 / kBodyBytesPerSecondMin));
  if (request.header("expect") == "100-continue") {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    const auto [error, count] = co_await asio::async_write(
        connection->stream, asio::buffer(kContinue.data(), kContinue.size()), kAwait);
    static_cast<void>(count);
    if (error) co_return error;
  }
  const auto [error, count] =
      co_await http::async_read(connection->stream, connection->buffer, parser, kAwait);
  static_cast<void>(count);
  if (!error) incoming->request.body = std::move(parser.get().body());
  co_return error;
}

// Reads and answers one request whose first bytes are in the buffer.
asio::awaitable<Next> serve_request(StatePtr server, ConnectionPtr connection) {
  HeaderParser parser;
  parser.header_limit(static_cast<std::uint32_t>(server->options.header_bytes_max));
  parser.body_limit(boost::none);  // the route's limit is applied below
  connection->lowest().expires_after(server->options.header_timeout);
  const auto [header_error, header_bytes] =
      co_await http::async_read_header(connection->stream, connection->buffer, parser, kAwait);
  static_cast<void>(header_bytes);
  const auto begun = std::chrono::steady_clock::now();
  Incoming incoming;
  if (header_error) {
    incoming.refusal = response_to(header_error, server->options.header_bytes_max);
    incoming.next = Next::kDrainAndClose;
    if (!incoming.refusal) co_return Next::kClose;
  } else {
    const bool keep_alive = parser.keep_alive();
    incoming = judge_header(*server, *connection, parser);
    if (!keep_alive && incoming.next == Next::kKeepAlive) incoming.next = Next::kClose;
  }
  if (!incoming.refusal && !parser.is_done()) {
    const error_code error = co_await read_body(server, connection, &parser, &incoming);
    if (error) {
      incoming.refusal = response_to(error, server->options.header_bytes_max);
      incoming.next = Next::kDrainAndClose;
      if (!incoming.refusal) co_return Next::kClose;
    }
  }
  Response response = incoming.refusal ? std::move(*incoming.refusal)
                                       : Router::run(*incoming.route, incoming.request);
  co_return co_await answer(server, connection, &incoming, &response, begun);
}

// Says goodbye without waiting for the other side to do so.
asio::awaitable<void> send_close_notify(ConnectionPtr connection) {
  connection->lowest().expires_after(kShutdownTimeout);
  SSL_set_shutdown(connection->stream.native_handle(), SSL_RECEIVED_SHUTDOWN);
  const auto [shut] = co_await connection->stream.async_shutdown(kAwait);
  static_cast<void>(shut);
}

// Waits for the other side to close, throwing away what it still sends.
asio::awaitable<void> drain(ConnectionPtr connection) {
  Bytes waste(kWriteBytes);
  error_code ignored;
  connection->lowest().socket().shutdown(tcp::socket::shutdown_send, ignored);
  connection->lowest().expires_after(kDrainTimeout);
  for (std::uint64_t total = 0; total < kDrainBytesMax;) {
    const auto [error, count] = co_await connection->lowest().async_read_some(
        asio::buffer(waste.data(), waste.size()), kAwait);
    if (error) co_return;
    total += count;
  }
}

// Waits for the first bytes of the next request. False: the connection is to be closed.
asio::awaitable<bool> wait_for_request(StatePtr server, ConnectionPtr connection) {
  if (connection->buffer.size() > 0) co_return true;  // the client sent it together with the last
  connection->phase = Connection::Phase::kIdle;
  connection->lowest().expires_after(server->options.idle_timeout);
  const auto [error, count] = co_await connection->stream.async_read_some(
      connection->buffer.prepare(kFirstReadBytes), kAwait);
  connection->phase = Connection::Phase::kBusy;
  if (error) co_return false;
  connection->buffer.commit(count);
  co_return true;
}

asio::awaitable<void> serve_connection(StatePtr server, ConnectionPtr connection) {
  verify_at(connection->stream.native_handle(), server->clock.now());
  connection->lowest().expires_after(server->options.handshake_timeout);
  const auto [refused] =
      co_await connection->stream.async_handshake(asio::ssl::stream_base::server, kAwait);
  if (refused) {
    server->observe(ConnectionEvent::kHandshakeFailed);
    connection->lowest().close();
    co_return;
  }
  connection->peer = peer_certificate(connection->stream.native_handle());
  Next next = Next::kKeepAlive;
  while (next == Next::kKeepAlive && !server->stopping) {
    const bool more = co_await wait_for_request(server, connection);
    if (!more) break;
    next = co_await serve_request(server, connection);
  }
  co_await send_close_notify(connection);
  if (next == Next::kDrainAndClose) co_await drain(connection);
  connection->lowest().close();
}

// Takes the connection off the list however it ends.
asio::awaitable<void> run_connection(StatePtr server, ConnectionPtr connection) {
  try {
    co_await serve_connection(server, connection);
  } catch (const std::exception& thrown) {
    if (server->observer.exchange)
      server->observer.exchange({Method::kGet, "", 500, 0, {}, thrown.what()});
  }
  server->observe(ConnectionEvent::kClosed);
  server->unregister(connection);
}

void begin_connection(StatePtr server, tcp::socket socket) {
  error_code no_delay;
  socket.set_option(tcp::no_delay(true), no_delay);
  const auto executor = socket.get_executor();
  const auto connection = std::make_shared<Connection>(
      std::move(socket), server->tls, std::max(server->options.header_bytes_max, kWriteBytes));
  if (!server->try_register(connection)) {
    server->observe(ConnectionEvent::kRefusedAtCap);
    connection->lowest().close();
    return;
  }
  server->observe(ConnectionEvent::kAccepted);
  asio::co_spawn(executor, run_connection(server, connection), asio::detached);
}

asio::awaitable<void> accept_connections(StatePtr server) {
  while (!server->stopping) {
    auto [error, socket] =
        co_await server->acceptor.async_accept(asio::make_strand(server->context), kAwait);
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {
      // Out of descriptors or memory: others have to close first.
      asio::steady_timer pause(server->acceptor.get_executor(), kAcceptRetryDelay);
      const auto [ignored] = co_await pause.async_wait(kAwait);
      static_cast<void>(ignored);
      continue;
    }
    if (server->stopping) co_return;  // came before the port was closed, and nobody will serve it
    try {
      begin_connection(server, std::move(socket));
    } catch (const std::exception&) {
      // Out of memory for this one: it is closed by its destructor, the next may fit.
    }
  }
}

Result<void> hold_port(State& server) {
  error_code error;
  const auto address = asio::ip::make_address(server.options.address, error);
  if (error)
    return fail(ErrorCode::kInvalidArgument, "{} is not an IP address", server.options.address);
  const tcp::endpoint endpoint(address, server.options.port);
  const auto failed = [&](const char* doing) {
    return fail(ErrorCode::kUnavailable, "{} {} port {}: {}", doing, server.options.address,
                server.options.port, error.message());
  };
  if (server.acceptor.open(endpoint.protocol(), error)) return failed("opening a socket for");
  if (server.acceptor.set_option(asio::socket_base::reuse_address(true), error))
    return failed("preparing");
  if (server.acceptor.bind(endpoint, error)) return failed("binding to");
  if (server.acceptor.listen(asio::socket_base::max_listen_connections, error))
    return failed("listening on");
  server.port = server.acceptor.local_endpoint(error).port();
  return {};
}

enum class Which { kIdle, kAll };

void close_connections(State& server, Which which) {
  const std::lock_guard lock(server.mutex);
  for (const ConnectionPtr& connection : server.connections) {
    asio::post(connection->stream.get_executor(), [connection, which] {
      if (which == Which::kAll) connection->lowest().close();
      if (which == Which::kIdle && connection->phase == Connection::Phase::kIdle)
        connection->lowest().cancel();
    });
  }
}

}  // namespace

HttpsServer::HttpsServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpsServer>> HttpsServer::listen(HttpsOptions options, const Router& router,
                                                         const Clock& clock,
                                                         HttpsObserver observer) {
  LAYBY_ASSERT(options.threads > 0);
  auto state = std::make_unique<State>(std::move(options), router, clock, std::move(observer));
  TRY_VOID(configure_tls(state->tls.native_handle(),
                         {state->options.certificate_chain_pem, state->options.private_key_pem,
                          state->options.client_authority_pem}));
  TRY_VOID(hold_port(*state));
  return std::unique_ptr<HttpsServer>(new HttpsServer(std::move(state)));
}

HttpsServer::~HttpsServer() {
  stop(milliseconds(0));
}

std::uint16_t HttpsServer::port() const {
  return state_->port;
}

void HttpsServer::serve() {
  LAYBY_ASSERT(state_->threads.empty());
  asio::co_spawn(state_->acceptor.get_executor(), accept_connections(state_.get()), asio::detached);
  for (unsigned i = 0; i < state_->options.threads; ++i)
    state_->threads.emplace_back([context = &state_->context] { context->run(); });
}

void HttpsServer::stop(milliseconds grace) {
  State& server = *state_;
  if (server.stopping.exchange(true)) return;
  asio::post(server.acceptor.get_executor(), [&server] {
    error_code ignored;
    server.acceptor.close(ignored);
  });
  close_connections(server, Which::kIdle);
  const auto all_closed = [&] { return server.connections.empty(); };
  {
    std::unique_lock lock(server.mutex);
    server.emptied.wait_for(lock, grace, all_closed);
  }
  close_connections(server, Which::kAll);
  {
    std::unique_lock lock(server.mutex);
    server.emptied.wait_for(lock, kCutTimeout, all_closed);
  }
  server.context.stop();
  for (std::thread& thread : server.threads) thread.join();
}

}  // namespace layby::server
