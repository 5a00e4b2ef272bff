#include "tuf/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <optional>

namespace layby::tuf {
namespace {

constexpr long kConnectTimeoutMs = 20'000;
constexpr long kRedirectsMax = 5;
// Slow retrieval: below this rate for so long, or past the time that all of the body would take at
// this rate.
constexpr long kBytesPerSecondMin = 1'000;
constexpr long kRateWindowSeconds = 20;
constexpr long kDeadlineBaseSeconds = 60;
constexpr long kDeadlineSecondsMax = 7L * 24 * 3600;
// What is read of the headers, and of a body that says only that there is no file.
constexpr std::size_t kHeaderBytesMax = 64 * 1024;
constexpr std::size_t kIgnoredBytesMax = 64 * 1024;

struct Exchange {
  CURL* easy;
  const std::string& url;
  std::uint64_t bytes_max;
  const HttpClient::Sink& sink;
  std::chrono::milliseconds time_max;
  std::uint64_t bytes = 0;
  std::size_t header_bytes = 0;
  std::size_t ignored_bytes = 0;
  bool enough_ignored = false;
  std::optional<Error> failure = {};  // of a callback of ours: it is the result
};

long status_of(CURL* easy) {
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

std::size_t take_header(char*, std::size_t size, std::size_t count, void* user) {
  Exchange& exchange = *static_cast<Exchange*>(user);
  exchange.header_bytes += size * count;
  if (exchange.header_bytes <= kHeaderBytesMax) return size * count;
  exchange.failure = Error(ErrorCode::kEndlessData, fmt::format("{}: more than {} bytes of header",
                                                                exchange.url, kHeaderBytesMax));
  return 0;
}

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* user) {
  Exchange& exchange = *static_cast<Exchange*>(user);
  const std::size_t bytes = size * count;
  if (status_of(exchange.easy) != 200) {
    exchange.ignored_bytes += bytes;
    exchange.enough_ignored = exchange.ignored_bytes > kIgnoredBytesMax;
    return exchange.enough_ignored ? 0 : bytes;
  }
  curl_off_t announced = -1;
  curl_easy_getinfo(exchange.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
  exchange.bytes += bytes;
  const bool too_long =
      exchange.bytes > exchange.bytes_max ||
      (announced > 0 && static_cast<std::uint64_t>(announced) > exchange.bytes_max);
  if (too_long) {
    exchange.failure =
        Error(ErrorCode::kEndlessData, fmt::format("{}: more than the {} bytes that are allowed",
                                                   exchange.url, exchange.bytes_max));
    return 0;
  }
  const auto taken = exchange.sink({reinterpret_cast<const std::uint8_t*>(data), bytes});
  if (taken) return bytes;
  exchange.failure = taken.error();
  return 0;
}

long deadline_ms(std::uint64_t bytes_max, std::chrono::milliseconds time_max) {
  const std::uint64_t seconds = bytes_max / kBytesPerSecondMin + kDeadlineBaseSeconds;
  const long ms = 1000 * static_cast<long>(std::min<std::uint64_t>(seconds, kDeadlineSecondsMax));
  return std::max(1L, static_cast<long>(std::min<std::int64_t>(ms, time_max.count())));
}

void set_options(CURL* easy, Exchange& exchange, const std::string& ca_file, char* error_text) {
  curl_easy_reset(easy);  // the connection stays open
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
  curl_easy_setopt(easy, CURLOPT_URL, exchange.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);  // `..` and percent-encoding are the server's
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, kRedirectsMax);
  // What was asked for under TLS is not fetched without.
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
                   exchange.url.starts_with("http://") ? "http,https" : "https");
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  if (!ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file.c_str());
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);  // the system's authorities
  }
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "layby-tuf");
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, deadline_ms(exchange.bytes_max, exchange.time_max));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kBytesPerSecondMin);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, kRateWindowSeconds);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
}

ErrorCode code_of(CURLcode result) {
  switch (static_cast<int>(result)) {
    case CURLE_OPERATION_TIMEDOUT: return ErrorCode::kSlowRetrieval;
    case CURLE_SSL_CACERT_BADFILE:  // it is no file of certificates
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return ErrorCode::kInvalidArgument;
    default: return ErrorCode::kUnavailable;
  }
}

}  // namespace

struct HttpClient::State {
  CURL* easy = nullptr;
  char error_text[CURL_ERROR_SIZE] = {};
  ~State() { curl_easy_cleanup(easy); }
};

Result<std::unique_ptr<HttpClient>> HttpClient::create(std::string ca_file) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(ErrorCode::kInternal, "libcurl does not start");
  auto state = std::make_unique<State>();
  state->easy = curl_easy_init();
  if (state->easy == nullptr) return fail(ErrorCode::kInternal, "libcurl gives no handle");
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(state), std::move(ca_file)));
}

HttpClient::HttpClient(std::unique_ptr<State> state, std::string ca_file)
    : state_(std::move(state)), ca_file_(std::move(ca_file)) {}
HttpClient::~HttpClient() = default;

Result<HttpClient::Answer> HttpClient::get(const std::string& url, std::uint64_t bytes_max,
                                           const Sink& sink, std::chrono::milliseconds time_max) {
  Exchange exchange{state_->easy, url, bytes_max, sink, time_max};
  set_options(state_->easy, exchange, ca_file_, state_->error_text);
  state_->error_text[0] = '\0';
  const CURLcode result = curl_easy_perform(state_->easy);
  if (exchange.failure) return fail(std::move(*exchange.failure));
  const long status = status_of(state_->easy);
  if (status == 403 || status == 404) return Answer::kAbsent;
  if (result != CURLE_OK && !exchange.enough_ignored)
    return fail(code_of(result), "{}: {}", url,
                state_->error_text[0] != '\0' ? state_->error_text : curl_easy_strerror(result));
  if (status == 200) return Answer::kBody;
  return fail(ErrorCode::kUnavailable, "{}: the server answered {}", url, status);
}

}  // namespace layby::tuf
