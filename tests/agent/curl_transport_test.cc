// The transport against servers that mean no good, over real TLS on the loopback.
#include "agent/curl_transport.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "base/disk.h"
#include "crypto/certificate.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr crypto::Validity kAlways = {.not_before = 0, .not_after = 4'000'000'000};

void write_text(const std::string& path, const std::string& text) {
  RealDisk disk;
  REQUIRE(replace_file(disk, path, as_bytes(text)));
}

// Reads one request, sends `opening`, then `rest` again and again until the peer has had enough or
// `repeats` are over; for `silent` it sends nothing. One connection after the other.
struct Answer {
  std::string opening{};
  std::string rest{};
  int repeats = 0;
  bool silent = false;
};

class HostileServer {
 public:
  HostileServer(const crypto::TlsIdentity& identity, Answer answer) : answer_(std::move(answer)) {
    const TempDir files;
    write_text(files / "key", identity.key_pem);
    write_text(files / "certificate", identity.certificate_pem);
    context_ = SSL_CTX_new(TLS_server_method());
    REQUIRE(SSL_CTX_use_certificate_file(context_, (files / "certificate").c_str(),
                                         SSL_FILETYPE_PEM) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(context_, (files / "key").c_str(), SSL_FILETYPE_PEM) == 1);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 4) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    url = "https://localhost:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~HostileServer() {
    stop_ = true;
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(context_);
  }
  HostileServer(const HostileServer&) = delete;
  HostileServer& operator=(const HostileServer&) = delete;

  std::string url;

 private:
  void serve() {
    while (!stop_) {
      pollfd entry{listener_, POLLIN, 0};
      if (::poll(&entry, 1, 20) <= 0) continue;
      const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const timeval patience{5, 0};
      ::setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      ::setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      SSL* tls = SSL_new(context_);
      SSL_set_fd(tls, peer);
      if (SSL_accept(tls) == 1) answer(tls);
      SSL_free(tls);
      ::close(peer);
    }
  }

  void answer(SSL* tls) const {
    char request[8192];
    if (SSL_read(tls, request, sizeof request) <= 0) return;
    while (answer_.silent && !stop_) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (answer_.silent) return;
    SSL_write(tls, answer_.opening.data(), static_cast<int>(answer_.opening.size()));
    for (int i = 0; i < answer_.repeats && !stop_; ++i)
      if (SSL_write(tls, answer_.rest.data(), static_cast<int>(answer_.rest.size())) <= 0) return;
    SSL_shutdown(tls);
  }

  const Answer answer_;
  SSL_CTX* context_ = nullptr;
  int listener_ = -1;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

struct Bench {
  TempDir dir;
  crypto::TlsIdentity authority = crypto::make_authority("test", kAlways).value();
  crypto::TlsIdentity identity;

  Bench() {
    ::signal(SIGPIPE, SIG_IGN);
    identity.key_pem = crypto::generate_tls_key();
    const auto request = crypto::make_request(identity.key_pem, "localhost").value();
    identity.certificate_pem =
        crypto::issue_certificate(
            authority, request,
            {.common_name = "localhost", .subject_alt_names = "DNS:localhost,IP:127.0.0.1"},
            crypto::CertificateUse::kServer, kAlways)
            .value();
    write_text(dir / "ca.pem", authority.certificate_pem);
  }
  Result<HttpResponse> get(Answer answer, HttpRequest request = {.path = "/x"},
                           const BodySink& sink = {}) {
    const HostileServer server(identity, std::move(answer));
    const auto transport =
        CurlTransport::create({.server_url = server.url, .ca_path = dir / "ca.pem"}).value();
    if (request.bytes_max == 0) request.bytes_max = 1000;
    return transport->exchange(request, sink);
  }
  ErrorCode refusal(Answer answer, HttpRequest request = {.path = "/x"}) {
    const auto response = get(std::move(answer), std::move(request));
    REQUIRE(!response.has_value());
    return response.error().code();
  }
};

const std::string kOk = "HTTP/1.1 200 OK\r\n";

}  // namespace

TEST_CASE("programs that the agent starts do not inherit its connection") {
  Bench bench;
  const auto count = [](int flag) {  // the network's sockets that have it, or have it not
    int sockets = 0;
    for (int descriptor = 3; descriptor < 1000; ++descriptor) {
      sockaddr_storage name{};
      socklen_t size = sizeof name;
      if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&name), &size) != 0) continue;
      if (name.ss_family != AF_INET && name.ss_family != AF_INET6) continue;
      if ((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == flag) ++sockets;
    }
    return sockets;
  };
  const int inherited_before = count(0), closed_before = count(FD_CLOEXEC);
  int inherited = 0, closed = 0;
  const BodySink look = [&](auto) -> Result<void> {
    inherited = count(0);
    closed = count(FD_CLOEXEC);
    return {};
  };
  const auto response =
      bench.get({.opening = kOk + "Content-Length: 3\r\n\r\nabc"}, {.path = "/x"}, look);
  REQUIRE(response.has_value());
  CHECK(inherited == inherited_before);
  CHECK(closed >= closed_before + 2);  // the listener and ours
}

TEST_CASE("an answer comes through, with its headers") {
  Bench bench;
  const auto response = bench.get({.opening = kOk + "ETag: \"a\"\r\nContent-Length: 3\r\n\r\nabc"});
  REQUIRE(response.has_value());
  CHECK(response->status == 200);
  CHECK(response->body == "abc");
  CHECK(response->header("etag") == "\"a\"");
}

TEST_CASE("endless data is cut off, in headers too (P5.1)") {
  Bench bench;
  const std::string header = "X-Filler: " + std::string(1000, 'x') + "\r\n";
  CHECK(bench.refusal({.opening = kOk, .rest = header, .repeats = 100'000}) ==
        ErrorCode::kEndlessData);
  CHECK(bench.refusal({.rest = "HTTP/1.1 100 Continue\r\n" + header + "\r\n",
                       .repeats = 100'000}) == ErrorCode::kEndlessData);
  CHECK(bench.refusal({.opening = kOk + "\r\n", .rest = header, .repeats = 100'000}) ==
        ErrorCode::kEndlessData);
}

TEST_CASE("a server that says nothing is a timeout and no attack") {
  Bench bench;
  CHECK(bench.refusal({.silent = true}, {.path = "/x", .deadline_ms = 300}) == ErrorCode::kTimeout);
}

TEST_CASE("a redirect is an answer, and is not followed") {
  Bench bench;
  const auto response = bench.get({.opening = "HTTP/1.1 302 Found\r\nLocation: https://localhost:1/"
                                              "\r\nContent-Length: 0\r\n\r\n"});
  REQUIRE(response.has_value());
  CHECK(response->status == 302);
}

TEST_CASE("another authority, or another name, is not our server") {
  Bench bench, other;
  write_text(bench.dir / "ca.pem", other.authority.certificate_pem);
  CHECK(bench.refusal({.opening = kOk + "\r\n"}) == ErrorCode::kUnauthenticated);
  Bench named;
  const auto request = crypto::make_request(named.identity.key_pem, "localhost").value();
  named.identity.certificate_pem =
      crypto::issue_certificate(named.authority, request,
                                {.common_name = "localhost", .subject_alt_names = "DNS:other.test"},
                                crypto::CertificateUse::kServer, kAlways)
          .value();
  CHECK(named.refusal({.opening = kOk + "\r\n"}) == ErrorCode::kUnauthenticated);
}

TEST_CASE("a range that begins elsewhere, or is ignored, is not taken for what was asked") {
  Bench bench;
  for (const std::string head : {"HTTP/1.1 206 P\r\nContent-Range: bytes 100-102/999\r\n",
                                 "HTTP/1.1 206 P\r\n", "HTTP/1.1 200 OK\r\n"}) {
    std::string taken;
    const auto response = bench.get({.opening = head + "Content-Length: 3\r\n\r\nabc"},
                                    {.path = "/x", .range = ByteRange{10, 3}}, [&](ByteSpan bytes) {
                                      taken += as_text(bytes);
                                      return Result<void>{};
                                    });
    CHECK(taken.empty());
  }
}
