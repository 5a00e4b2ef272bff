// A blocking HTTPS client that does exactly what the test says, also what no decent client would.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "crypto/certificate.h"

namespace layby::tests {

struct TlsClientOptions {
  std::uint16_t port = 0;
  std::string authority_pem;                    // who must have issued the server's certificate
  std::optional<crypto::TlsIdentity> identity;  // the client's own
  enum class Version { kBest, kAtMost12 } version = Version::kBest;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Every wait ends after 10 seconds at the latest, as if the server had hung up.
class TlsClient {
 public:
  explicit TlsClient(const TlsClientOptions& options);
  ~TlsClient();

  bool connected() const;  // the handshake succeeded, as far as this side can tell
  bool send(const std::string& bytes);
  // Whether Content-Length bytes follow the head is said by `body`. Nothing if the server hung up.
  enum class Body { kExpected, kNone };
  std::optional<HttpAnswer> receive(Body body = Body::kExpected);
  // GET with a Host header; more header lines may be given, each with its line break.
  std::optional<HttpAnswer> get(const std::string& target, const std::string& lines = "");
  bool closed_by_server();  // waits for the end of the stream
  // Cuts the connection without a word.
  void abandon();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace layby::tests
