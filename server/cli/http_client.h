// HTTPS requests to one server: libcurl behind a door, one kept-alive connection.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"

namespace layby::cli {

// What an answer may weigh where nothing else is said; more is kEndlessData.
constexpr std::uint64_t kAnswerBytesMax = 64 * kMiB;

struct HttpRequest {
  std::string method = "GET";
  std::string path;                            // "/v1/cars/…", encoded, with query
  std::map<std::string, std::string> headers;  // as they are to be sent
  std::string_view body;                       // sent as it is where the method is not GET or HEAD
  std::uint64_t answer_bytes_max = kAnswerBytesMax;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// One thread at a time.
class HttpClient {
 public:
  struct Config {
    std::string server;   // "https://HOST:PORT"; nothing else is spoken
    std::string ca_file;  // PEM; empty: the machine's authorities
    int answer_seconds_max = 120;
  };

  static Result<HttpClient> open(Config config);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  // Takes the body of a 2xx answer piece by piece; an error ends the exchange and is its result.
  using Sink = std::function<Result<void>(ByteSpan)>;

  // Any status is an answer. kUnavailable when there is no connection, the server's certificate is
  // not good or the answer breaks off; kTimeout; kEndlessData. Nothing is sent twice.
  Result<HttpAnswer> send(const HttpRequest& request);
  // The same for an answer of any length, which need not come soon but without a break.
  Result<HttpAnswer> fetch(const HttpRequest& request, const Sink& sink);

 private:
  Result<HttpAnswer> perform(const HttpRequest& request, const Sink& sink);
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A text as one segment of a path or one value of a query (RFC 3986, section 2.3).
std::string encode_segment(std::string_view text);

}  // namespace layby::cli
