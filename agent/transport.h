// The Transport seam: one HTTP exchange with the server, within limits that the caller sets.
//
// Implementations: libcurl (curl_transport.h) and the fake server of the tests. One thread. A body
// that is longer, slower or later than allowed ends the exchange with an error that names it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace layby::agent {

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // at least 1
};

struct HttpRequest {
  enum class Method { kGet, kPost } method = Method::kGet;
  std::string path;  // on the configured server: "/v1/vehicle/time?nonce=…"
  std::map<std::string, std::string> headers{};
  std::string body{};  // for kPost
  std::optional<ByteRange> range{};
  std::uint64_t bytes_max = 0;             // of the response's body; kEndlessData above
  std::int64_t deadline_ms = 60'000;       // of the whole exchange; kSlowRetrieval after
  std::uint64_t bytes_per_second_min = 1;  // over rate_window_seconds; kSlowRetrieval below
  int rate_window_seconds = 20;
  // Where given, it counts every byte of a body as it comes: also of one that nobody can use, or
  // that is broken off.
  std::uint64_t* body_bytes = nullptr;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // empty if a sink took it
  std::uint64_t bytes_received = 0;            // of the body

  std::string header(const std::string& lower_case_name) const {
    const auto found = headers.find(lower_case_name);
    return found == headers.end() ? std::string{} : found->second;
  }
  // Seconds of Retry-After, if the server gave it as a number.
  std::optional<std::int64_t> retry_after_seconds() const;
};

// Takes the body of a 2xx response as it arrives; with a range, only of a 206 that begins where it
// was asked to. An error ends the exchange and is its result.
using BodySink = std::function<Result<void>(ByteSpan)>;

class Transport {
 public:
  virtual ~Transport() = default;
  // A response of any status is a success. Errors: kUnavailable (no connection, broken off),
  // kTimeout (no answer), kEndlessData, kSlowRetrieval, kUnauthenticated (TLS), or the sink's.
  // With a sink, other bodies are discarded.
  virtual Result<HttpResponse> exchange(const HttpRequest& request, const BodySink& sink = {}) = 0;
};

}  // namespace layby::agent
