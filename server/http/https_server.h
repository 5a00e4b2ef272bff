// The TLS server that carries requests to a Router and responses back: HTTP/1.1 over TLS 1.3 only.
//
// A client certificate is optional. One that the vehicle authority did not issue ends the
// handshake; whether one is revoked is the handlers' affair, who see its fingerprint. Every wait
// has a deadline, every buffer a limit, and the number of connections a cap: those above it are
// closed at once. Handlers run on the server's threads and may block; give it as many threads as
// handlers are to run at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "server/http/router.h"

namespace layby::server {

struct HttpsOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  std::string certificate_chain_pem;
  std::string private_key_pem;
  std::string client_authority_pem;  // who issues the certificates of cars

  unsigned threads = 16;
  std::size_t connections_max = 4096;
  std::size_t header_bytes_max = 16 * kKiB;

  std::chrono::milliseconds handshake_timeout{10'000};
  std::chrono::milliseconds idle_timeout{60'000};    // between two requests
  std::chrono::milliseconds header_timeout{10'000};  // from a header's first byte to its last
  // For a body, plus one second for each 8 KiB that it has.
  std::chrono::milliseconds body_timeout{20'000};
  std::chrono::milliseconds write_timeout{60'000};  // for each 64 KiB of a response

  std::map<std::string, std::string> extra_headers;  // for every response
};

// One request that was answered, or could not be.
struct Exchange {
  Method method;
  std::string_view route;  // the template, "" where none fitted
  int status;
  std::uint64_t body_bytes_sent;
  std::chrono::microseconds duration;  // from the complete header to the response's last byte
  std::string_view diagnosis;          // for the log; empty unless something of ours failed
};

enum class ConnectionEvent { kAccepted, kClosed, kRefusedAtCap, kHandshakeFailed };

// Called from the server's threads; must not block. Either may be empty.
struct HttpsObserver {
  std::function<void(const Exchange&)> exchange;
  std::function<void(ConnectionEvent)> connection;
};

class HttpsServer {
 public:
  // Holds the port when it returns; who connects waits for `serve`. `router` and `clock` must
  // outlive it. The clock decides which client certificates have expired.
  static Result<std::unique_ptr<HttpsServer>> listen(HttpsOptions options, const Router& router,
                                                     const Clock& clock,
                                                     HttpsObserver observer = {});
  ~HttpsServer();  // as stop(0)

  std::uint16_t port() const;

  // Starts the threads. Once; the router must not change any more.
  void serve();

  // Accepts nothing more, closes idle connections, lets requests in flight finish for up to
  // `grace`, then cuts them. Returns when all threads are done; a handler that runs is waited for.
  void stop(std::chrono::milliseconds grace);

  struct State;  // for https_server.cc

 private:
  explicit HttpsServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace layby::server
