#include "server/http/https_server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/http/problem.h"
#include "tests/server/http/tls_client.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace std::chrono_literals;
using server::FilePart;
using server::HttpsOptions;
using server::HttpsServer;
using server::Method;
using server::Request;
using server::Response;
using tests::HttpAnswer;
using tests::TlsClient;
using tests::TlsClientOptions;

namespace {

template <typename T>
T value_of(Result<T> result) {
  if (!result) FAIL(result.error().message());
  return std::move(*result);
}

// Issued at a time of its own choice by an authority of its own making.
crypto::TlsIdentity issue(const crypto::TlsIdentity& authority, const std::string& name,
                          crypto::CertificateUse use, crypto::Validity validity) {
  const std::string key = crypto::generate_tls_key();
  const std::string request = value_of(crypto::make_request(key, name));
  const char* alternatives = use == crypto::CertificateUse::kServer ? "IP:127.0.0.1" : "";
  return {key, value_of(crypto::issue_certificate(authority, request, {name, alternatives}, use,
                                                  validity))};
}

class Fixture {
 public:
  Fixture() {
    options.certificate_chain_pem = server_identity.certificate_pem;
    options.private_key_pem = server_identity.key_pem;
    options.client_authority_pem = vehicles.certificate_pem;
    options.threads = 4;
    add_routes();
  }

  void start() {
    server = value_of(HttpsServer::listen(options, router, clock, observer()));
    server->serve();
  }

  TlsClientOptions client(std::optional<crypto::TlsIdentity> identity = std::nullopt) {
    return {server->port(), authority.certificate_pem, std::move(identity),
            TlsClientOptions::Version::kBest};
  }

  SystemClock clock;
  crypto::Validity now{clock.now() - 3600, clock.now() + 3600};
  crypto::TlsIdentity authority = value_of(crypto::make_authority("test servers", now));
  crypto::TlsIdentity vehicles = value_of(crypto::make_authority("test vehicles", now));
  crypto::TlsIdentity server_identity =
      issue(authority, "localhost", crypto::CertificateUse::kServer, now);
  tests::TempDir dir;
  std::string file = dir / "payload";
  std::string file_bytes;
  HttpsOptions options;
  server::Router router;
  std::mutex mutex;
  std::condition_variable changed;
  int slow_running = 0;
  bool slow_may_end = false;
  std::vector<std::uint64_t> sent;
  std::vector<int> statuses;
  std::atomic<int> refused{0};
  std::atomic<int> pieces_left{2};
  std::unique_ptr<HttpsServer> server;  // last: its handlers use what is above

 private:
  server::HttpsObserver observer() {
    return {.exchange =
                [this](const server::Exchange& exchange) {
                  const std::lock_guard lock(mutex);
                  statuses.push_back(exchange.status);
                  changed.notify_all();
                },
            .connection =
                [this](server::ConnectionEvent event) {
                  if (event == server::ConnectionEvent::kRefusedAtCap) ++refused;
                }};
  }

  void add_routes() {
    router.add({Method::kGet, "/who", [](const Request& request) {
                  Response response;
                  response.body = request.peer ? request.peer->common_name + " " +
                                                     to_hex(request.peer->fingerprint)
                                               : std::string("nobody");
                  return response;
                }});
    router.add({.method = Method::kPut,
                .path = "/echo",
                .handler =
                    [](const Request& request) {
                      Response response;
                      response.body = request.body;
                      return response;
                    },
                .body_bytes_max = 1000});
    router.add({.method = Method::kPut,
                .path = "/guarded",
                .handler = [](const Request&) { return Response{}; },
                .body_bytes_max = 64 * kMiB,
                .admit = [](const Request&) -> std::optional<Response> {
                  return server::problem(403, "forbidden", "not you");
                }});
    router.add({Method::kGet, "/slow", [this](const Request&) {
                  std::unique_lock lock(mutex);
                  ++slow_running;
                  changed.notify_all();
                  changed.wait_for(lock, 10s, [this] { return slow_may_end; });
                  Response response;
                  response.body = std::string(300'000, 's');
                  return response;
                }});
    for (std::size_t i = 0; i < 20'000'000; ++i)
      file_bytes.push_back(static_cast<char>(i * 7 + i / 251));
    RealDisk disk;
    REQUIRE(replace_file(disk, file, as_bytes(file_bytes)));
    router.add({Method::kGet, "/pieces/{length}", [this](const Request& request) {
                  Response response;
                  response.body = server::BodyPieces{
                      std::string("head"), FilePart{file, 10, 700'000}, std::string(70'000, '-'),
                      FilePart{file, 0, std::stoull(request.path_values.at("length"))}};
                  return response;
                }});
    router.add({Method::kGet, "/file/{offset}/{length}", [this](const Request& request) {
                  Response response;
                  response.body = FilePart{file, std::stoull(request.path_values.at("offset")),
                                           std::stoull(request.path_values.at("length"))};
                  if (request.query.contains("pieces"))
                    response.may_go_on = [this] { return pieces_left-- > 0; };
                  response.sent = [this](std::uint64_t bytes) {
                    const std::lock_guard lock(mutex);
                    sent.push_back(bytes);
                    changed.notify_all();
                  };
                  return response;
                }});
  }
};

constexpr const char* kHost = "Host: localhost\r\n";

std::string put(const std::string& path, const std::string& lines, const std::string& body = "") {
  return "PUT " + path + " HTTP/1.1\r\n" + kHost + lines + "\r\n" + body;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "https: TLS 1.3 only, client certificate optional but genuine") {
  start();
  TlsClientOptions old = client();
  old.version = TlsClientOptions::Version::kAtMost12;
  CHECK_FALSE(TlsClient(old).connected());

  TlsClient nobody(client());
  REQUIRE(nobody.connected());
  CHECK(nobody.get("/who")->body == "nobody");

  const auto car = issue(vehicles, "WVWZZZ1JZXW000017", crypto::CertificateUse::kVehicle, now);
  TlsClient genuine(client(car));
  const std::string fingerprint =
      to_hex(crypto::read_certificate(car.certificate_pem)->fingerprint);
  CHECK(genuine.get("/who")->body == "WVWZZZ1JZXW000017 " + fingerprint);

  const auto foreign_authority = value_of(crypto::make_authority("test vehicles", now));
  const crypto::Validity past{now.not_before - 7200, now.not_before};
  for (const auto& bad :
       {issue(foreign_authority, "WVWZZZ1JZXW000017", crypto::CertificateUse::kVehicle, now),
        issue(vehicles, "WVWZZZ1JZXW000017", crypto::CertificateUse::kServer, now),
        issue(vehicles, "WVWZZZ1JZXW000017", crypto::CertificateUse::kVehicle, past)}) {
    TlsClient refused_client(client(bad));
    CHECK_FALSE(refused_client.get("/who"));
  }
}

TEST_CASE_METHOD(Fixture, "https: keep-alive, pipelining, HEAD, 404, 405, HTTP/1.0") {
  options.extra_headers["Layby-Simulation"] = "true";
  start();
  TlsClient one(client());
  for (int i = 0; i < 3; ++i) {
    const auto answer = one.get("/who");
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->headers.at("layby-simulation") == "true");
    CHECK(answer->headers.count("date") == 1);
  }
  CHECK(one.get("/nowhere")->status == 404);
  const auto wrong = one.get("/echo");
  REQUIRE(wrong);
  CHECK(wrong->status == 405);
  CHECK(wrong->headers.at("allow") == "PUT");
  REQUIRE(one.send(std::string("HEAD /file/0/1000 HTTP/1.1\r\n") + kHost + "\r\n"));
  const auto head = one.receive(TlsClient::Body::kNone);
  REQUIRE(head);
  CHECK(head->headers.at("content-length") == "1000");
  const std::string two = put("/echo", "Content-Length: 1\r\n", "a") +
                          put("/echo", "Transfer-Encoding: chunked\r\n", "3\r\nbcd\r\n0\r\n\r\n");
  REQUIRE(one.send(two));
  CHECK(one.receive()->body == "a");
  CHECK(one.receive()->body == "bcd");
  REQUIRE(one.send("GET /who HTTP/1.0\r\n\r\n"));
  CHECK(one.receive()->headers.at("connection") == "close");
  CHECK(one.closed_by_server());
}

TEST_CASE_METHOD(Fixture, "https: what is malformed or too large is refused with a reason") {
  options.header_bytes_max = 4096;
  start();
  const auto status_of = [&](const std::string& bytes) {
    TlsClient one(client());
    REQUIRE(one.send(bytes));
    const auto answer = one.receive();
    REQUIRE(answer);
    CHECK(answer->headers.at("content-type") == "application/problem+json");
    CHECK(answer->headers.at("connection") == "close");
    CHECK(one.closed_by_server());
    return answer->status;
  };
  CHECK(status_of("not http at all\r\n\r\n") == 400);
  CHECK(status_of(std::string("GET /who HTTP/1.1\r\nHost: x\r\nLong: ") + std::string(20'000, 'a') +
                  "\r\n\r\n") == 431);
  CHECK(status_of(put("/echo", "Content-Length: 1001\r\n")) == 413);
  CHECK(status_of(put("/echo", "Content-Length: 99999999999\r\n")) == 413);
  CHECK(status_of(put("/echo", "Transfer-Encoding: chunked\r\n",
                      "400\r\n" + std::string(0x400, 'x') + "\r\n0\r\n\r\n")) == 413);
  CHECK(status_of(put("/echo", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                      "0\r\n\r\n")) == 400);
  CHECK(status_of(put("/nowhere", "Content-Length: 5\r\n", "abcde")) == 404);
  // Nothing is left unread by these: the connection goes on.
  TlsClient one(client());
  CHECK(one.get("/a/../who")->status == 400);
  REQUIRE(one.send("GET /who HTTP/1.1\r\n\r\n"));
  CHECK(one.receive()->status == 400);  // no Host
  REQUIRE(one.send(std::string("BREW /who HTTP/1.1\r\n") + kHost + "\r\n"));
  CHECK(one.receive()->status == 501);
  CHECK(one.get("/who")->status == 200);
}

TEST_CASE_METHOD(Fixture, "https: a large body is refused before it is sent, or while it is") {
  start();
  TlsClient patient(client());
  REQUIRE(patient.send(put("/guarded", "Content-Length: 30000000\r\nExpect: 100-continue\r\n")));
  CHECK(patient.receive()->status == 403);
  TlsClient pushing(client());
  REQUIRE(
      pushing.send(put("/guarded", "Content-Length: 8000000\r\n", std::string(4'000'000, 'x'))));
  CHECK(pushing.receive()->status == 403);
  TlsClient welcome(client());
  REQUIRE(welcome.send(put("/echo", "Content-Length: 3\r\nExpect: 100-continue\r\n")));
  CHECK(welcome.receive(TlsClient::Body::kNone)->status == 100);
  REQUIRE(welcome.send("abc"));
  CHECK(welcome.receive()->body == "abc");
}

TEST_CASE_METHOD(Fixture, "https: parts of files, and how many bytes the socket took") {
  start();
  TlsClient one(client());
  CHECK(one.get("/file/0/20000000")->body == file_bytes);
  CHECK(one.get("/file/1234567/700001")->body == file_bytes.substr(1'234'567, 700'001));
  CHECK(one.get("/file/0/0")->body.empty());
  // Texts and parts of files, one behind the other; all of it or nothing.
  CHECK(one.get("/pieces/33")->body == "head" + file_bytes.substr(10, 700'000) +
                                           std::string(70'000, '-') + file_bytes.substr(0, 33));
  CHECK(one.get("/pieces/20000001")->status == 500);
  const auto beyond = one.get("/file/19999999/2");
  REQUIRE(beyond);
  CHECK(beyond->status == 500);
  CHECK_THAT(beyond->body, !Catch::Contains("payload"));
  CHECK(one.get("/who")->status == 200);

  TlsClient leaving(client());
  REQUIRE(leaving.send(std::string("GET /file/0/20000000 HTTP/1.1\r\n") + kHost + "\r\n"));
  REQUIRE(leaving.receive(TlsClient::Body::kNone));
  leaving.abandon();
  std::unique_lock lock(mutex);
  REQUIRE(changed.wait_for(lock, 10s, [&] { return sent.size() == 5; }));
  CHECK(sent[0] == 20'000'000);
  CHECK(sent[1] == 700'001);
  CHECK(sent[2] == 0);
  CHECK(sent[3] == 0);
  CHECK(sent[4] < 20'000'000);
}

TEST_CASE_METHOD(Fixture, "https: an answer whose permission ends is broken off at a megabyte") {
  start();
  TlsClient one(client());
  CHECK_FALSE(one.get("/file/0/20000000?pieces=2"));
  CHECK(one.closed_by_server());
  std::unique_lock lock(mutex);
  REQUIRE(changed.wait_for(lock, 10s, [&] { return sent.size() == 1; }));
  CHECK(sent[0] == 3 * kMiB);
}

TEST_CASE_METHOD(Fixture, "https: slow handshakes, headers, bodies and idlers are cut off") {
  options.handshake_timeout = options.header_timeout = options.idle_timeout = 300ms;
  options.body_timeout = 300ms;
  start();
  const auto begun = std::chrono::steady_clock::now();
  TlsClient slow_header(client());
  TlsClient slow_body(client());
  TlsClient idle(client());
  REQUIRE(slow_header.send("GET /who HT"));
  REQUIRE(slow_body.send(put("/echo", "Content-Length: 10\r\n", "abc")));
  CHECK_FALSE(slow_header.receive());
  CHECK_FALSE(slow_body.receive());
  CHECK(slow_header.closed_by_server());
  CHECK(idle.closed_by_server());
  CHECK(std::chrono::steady_clock::now() - begun < 8s);
}

TEST_CASE_METHOD(Fixture, "https: connections above the cap are closed, later ones served again") {
  options.connections_max = 2;
  start();
  auto first = std::make_unique<TlsClient>(client());
  TlsClient second(client());
  CHECK(first->get("/who")->status == 200);
  CHECK(second.get("/who")->status == 200);
  CHECK_FALSE(TlsClient(client()).connected());
  CHECK(refused == 1);
  first.reset();
  bool served = false;
  for (int i = 0; i < 100 && !served; ++i) {
    std::this_thread::sleep_for(20ms);
    TlsClient third(client());
    served = third.connected() && third.get("/who").has_value();
  }
  CHECK(served);
  CHECK(second.get("/who")->status == 200);
}

TEST_CASE_METHOD(Fixture, "https: stopping finishes the response in flight and closes the idle") {
  start();
  TlsClient busy(client());
  TlsClient idle(client());
  REQUIRE(idle.get("/who"));
  REQUIRE(busy.send(std::string("GET /slow HTTP/1.1\r\n") + kHost + "\r\n"));
  {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 10s, [&] { return slow_running == 1; }));
  }
  const std::uint16_t port = server->port();
  std::thread stopper([&] { server->stop(10s); });
  CHECK(idle.closed_by_server());
  CHECK_FALSE(
      TlsClient({port, authority.certificate_pem, std::nullopt, TlsClientOptions::Version::kBest})
          .connected());
  {
    const std::lock_guard lock(mutex);
    slow_may_end = true;
    changed.notify_all();
  }
  const auto answer = busy.receive();
  REQUIRE(answer);
  CHECK(answer->body.size() == 300'000);
  CHECK(answer->headers.at("connection") == "close");
  CHECK(busy.closed_by_server());
  stopper.join();
}

TEST_CASE_METHOD(Fixture, "https: many clients at once") {
  start();
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      TlsClient one(client());
      for (int i = 0; i < 50; ++i) {
        const int offset = c * 1000 + i * 17;
        const auto answer = one.get("/file/" + std::to_string(offset) + "/5000");
        if (answer && answer->body == file_bytes.substr(static_cast<std::size_t>(offset), 5000))
          ++good;
      }
    });
  }
  for (std::thread& thread : clients) thread.join();
  CHECK(good == 400);
}

TEST_CASE_METHOD(Fixture, "https: what cannot work is said at the start") {
  start();
  HttpsOptions taken = options;
  taken.port = server->port();
  const auto second = HttpsServer::listen(taken, router, clock);
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == ErrorCode::kUnavailable);
  HttpsOptions mismatched = options;
  mismatched.private_key_pem = crypto::generate_tls_key();
  CHECK(HttpsServer::listen(mismatched, router, clock).error().code() ==
        ErrorCode::kInvalidArgument);
  HttpsOptions trusting = options;
  trusting.client_authority_pem = "";
  CHECK_FALSE(HttpsServer::listen(trusting, router, clock));
}
