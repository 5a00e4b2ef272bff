// The Transport over libcurl: TLS 1.3 only, the server's CA and nobody else's, the car's client
// certificate, one connection kept open for many requests, no redirects, no proxy but the one that
// the options name.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/transport.h"

namespace layby::agent {

struct CurlOptions {
  std::string server_url;                  // "https://host:port", nothing behind it
  std::string ca_path;                     // PEM
  std::string certificate_path{};          // PEM; empty: none is shown
  std::string key_path{};                  // PEM, PKCS#8
  std::uint64_t bytes_per_second_max = 0;  // 0: as fast as it goes
  // "http://[USER:PASSWORD@]HOST:PORT": a proxy that CONNECTs to the server; TLS goes through it
  // untouched. Empty: none, whatever the environment says.
  std::string proxy_url{};
  // Asked about once a second and after each piece of a body; when true the exchange ends with
  // kCancelled. May be empty.
  std::function<bool()> interrupted{};
};

class CurlTransport final : public Transport {
 public:
  static Result<std::unique_ptr<CurlTransport>> create(CurlOptions options);
  ~CurlTransport() override;
  Result<HttpResponse> exchange(const HttpRequest& request, const BodySink& sink) override;

 private:
  struct State;
  explicit CurlTransport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace layby::agent
