#include "agent/curl_transport.h"

#include <curl/curl.h>
#include <fcntl.h>

#include <algorithm>
#include <cctype>

#include "base/assert.h"

namespace layby::agent {
namespace {

constexpr long kConnectTimeoutMs = 20'000;
constexpr std::size_t kHeaderBytesMax = 64 * 1024;  // of one exchange, all its answers together
constexpr long kReceiveBufferBytes = 256 * 1024;

using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

// What one exchange collects. libcurl hands it back to the callbacks.
struct Exchange {
  const HttpRequest& request;
  const BodySink& sink;
  const std::function<bool()>& interrupted;
  CURL* easy;
  HttpResponse response;
  std::optional<Error> failure;  // of a callback of ours: it is the result
  std::size_t header_bytes = 0;
};

bool is_for_sink(const Exchange& exchange, int status) {
  if (!exchange.request.range) return status >= 200 && status < 300;
  const std::string begin = fmt::format("bytes {}-", exchange.request.range->offset);
  return status == 206 && exchange.response.header("content-range").starts_with(begin);
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* user) {
  Exchange& exchange = *static_cast<Exchange*>(user);
  std::string_view line(data, size * count);
  exchange.header_bytes += line.size();
  if (exchange.header_bytes > kHeaderBytesMax) {
    exchange.failure = Error(
        ErrorCode::kEndlessData,
        fmt::format("{}: more than {} bytes of header", exchange.request.path, kHeaderBytesMax));
    return 0;
  }
  if (line.starts_with("HTTP/")) exchange.response.headers.clear();  // after a 100 Continue
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back())))
    value.remove_suffix(1);
  exchange.response.headers[name] = std::string(value);
  return line.size();
}

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* user) {
  Exchange& exchange = *static_cast<Exchange*>(user);
  const std::size_t bytes = size * count;
  HttpResponse& response = exchange.response;
  response.bytes_received += bytes;
  if (exchange.request.body_bytes != nullptr) *exchange.request.body_bytes += bytes;
  if (response.bytes_received > exchange.request.bytes_max) {
    exchange.failure = Error(ErrorCode::kEndlessData,
                             fmt::format("{}: more than the {} bytes that were allowed",
                                         exchange.request.path, exchange.request.bytes_max));
    return 0;
  }
  long status = 0;
  curl_easy_getinfo(exchange.easy, CURLINFO_RESPONSE_CODE, &status);
  if (!exchange.sink) {
    response.body.append(data, bytes);
    return bytes;
  }
  if (!is_for_sink(exchange, static_cast<int>(status))) return bytes;
  const auto taken = exchange.sink({reinterpret_cast<const std::uint8_t*>(data), bytes});
  if (taken) return bytes;
  exchange.failure = taken.error();
  return 0;
}

int look_for_interruption(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  Exchange& exchange = *static_cast<Exchange*>(user);
  if (!exchange.interrupted || !exchange.interrupted()) return 0;
  exchange.failure = Error(ErrorCode::kCancelled, exchange.request.path + ": interrupted");
  return 1;
}

// libcurl's sockets are inherited by programs that the process starts; ours are not.
int close_on_exec(void*, curl_socket_t socket, curlsocktype) {
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  return CURL_SOCKOPT_OK;
}

ErrorCode code_of(CURLcode result) {
  switch (static_cast<int>(result)) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return ErrorCode::kUnauthenticated;
    case CURLE_OPERATION_TIMEDOUT: return ErrorCode::kSlowRetrieval;
    case CURLE_FILESIZE_EXCEEDED: return ErrorCode::kEndlessData;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT: return ErrorCode::kInternal;
    default: return ErrorCode::kUnavailable;  // the network in all its ways
  }
}

}  // namespace

struct CurlTransport::State {
  CurlOptions options;
  CURL* easy = nullptr;
  char error_text[CURL_ERROR_SIZE] = {};

  ~State() { curl_easy_cleanup(easy); }

  // Everything that is the same for all requests; the connection survives curl_easy_reset.
  void set_up() {
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, options.proxy_url.c_str());
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_path.c_str());
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    if (!options.certificate_path.empty()) {
      curl_easy_setopt(easy, CURLOPT_SSLCERT, options.certificate_path.c_str());
      curl_easy_setopt(easy, CURLOPT_SSLKEY, options.key_path.c_str());
    }
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, close_on_exec);
    if (options.bytes_per_second_max != 0)
      curl_easy_setopt(easy, CURLOPT_MAX_RECV_SPEED_LARGE,
                       static_cast<curl_off_t>(options.bytes_per_second_max));
  }

  void set_request(const HttpRequest& request, const std::string& url, curl_slist* headers) {
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (request.method == HttpRequest::Method::kPost) {
      curl_easy_setopt(easy, CURLOPT_POST, 1L);
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
    }
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.deadline_ms));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT,
                     static_cast<long>(request.bytes_per_second_min));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.rate_window_seconds));
  }

  void set_callbacks(Exchange& exchange) {
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, look_for_interruption);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &exchange);
  }
};

Result<std::unique_ptr<CurlTransport>> CurlTransport::create(CurlOptions options) {
  if (!options.server_url.starts_with("https://"))
    return fail(ErrorCode::kInvalidArgument, "server URL {}: must begin with https://",
                options.server_url);
  if (!options.proxy_url.empty() && !options.proxy_url.starts_with("http://"))
    return fail(ErrorCode::kInvalidArgument, "proxy {}: must begin with http://",
                options.proxy_url);
  while (options.server_url.ends_with('/')) options.server_url.pop_back();
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(ErrorCode::kInternal, "libcurl does not start");
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  state->easy = curl_easy_init();
  if (state->easy == nullptr) return fail(ErrorCode::kInternal, "libcurl gives no handle");
  return std::unique_ptr<CurlTransport>(new CurlTransport(std::move(state)));
}

CurlTransport::CurlTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
CurlTransport::~CurlTransport() = default;

Result<HttpResponse> CurlTransport::exchange(const HttpRequest& request, const BodySink& sink) {
  LAYBY_ASSERT(!request.range || request.range->length > 0);
  state_->set_up();
  curl_slist* list = nullptr;
  for (const auto& [name, value] : request.headers)
    list = curl_slist_append(list, (name + ": " + value).c_str());
  list = curl_slist_append(list, "Expect:");
  const HeaderList headers(list, curl_slist_free_all);
  state_->set_request(request, state_->options.server_url + request.path, headers.get());
  std::string range;
  if (request.range) {
    range = fmt::format("{}-{}", request.range->offset,
                        request.range->offset + request.range->length - 1);
    curl_easy_setopt(state_->easy, CURLOPT_RANGE, range.c_str());
  }
  Exchange exchange{request, sink, state_->options.interrupted, state_->easy, {}, {}, 0};
  state_->set_callbacks(exchange);

  state_->error_text[0] = '\0';
  const CURLcode result = curl_easy_perform(state_->easy);
  if (exchange.failure) return fail(std::move(*exchange.failure));
  // Nothing at all came: no slow server, but none.
  const bool is_silent = result == CURLE_OPERATION_TIMEDOUT && exchange.header_bytes == 0;
  if (result != CURLE_OK)
    return fail(is_silent ? ErrorCode::kTimeout : code_of(result), "{}{}: {}",
                state_->options.server_url, request.path,
                state_->error_text[0] != '\0' ? state_->error_text : curl_easy_strerror(result));
  long status = 0;
  curl_easy_getinfo(state_->easy, CURLINFO_RESPONSE_CODE, &status);
  exchange.response.status = static_cast<int>(status);
  return std::move(exchange.response);
}

}  // namespace layby::agent
