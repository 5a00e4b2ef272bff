#include "server/cli/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <optional>

namespace layby::cli {

struct HttpClient::State {
  Config config;
  CURL* handle = nullptr;
  ~State() {
    if (handle != nullptr) curl_easy_cleanup(handle);
  }
};

namespace {

// Below this for so long a long answer has broken off.
constexpr long kFetchBytesPerSecondMin = 1024;
constexpr long kFetchSilenceSeconds = 60;

struct Receiving {
  std::uint64_t bytes_max;
  CURL* handle;
  const HttpClient::Sink& sink;
  HttpAnswer answer = {};
  std::optional<Error> failure = {};  // of the sink
  bool too_much = false;
};

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* into) {
  auto& receiving = *static_cast<Receiving*>(into);
  long status = 0;
  curl_easy_getinfo(receiving.handle, CURLINFO_RESPONSE_CODE, &status);
  if (receiving.sink && status >= 200 && status < 300) {
    const Result<void> taken = receiving.sink(as_bytes(std::string_view(bytes, size * count)));
    if (taken) return size * count;
    receiving.failure = taken.error();
    return 0;
  }
  if (receiving.answer.body.size() + size * count > receiving.bytes_max) {
    receiving.too_much = true;
    return 0;
  }
  receiving.answer.body.append(bytes, size * count);
  return size * count;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

std::size_t take_header(char* bytes, std::size_t size, std::size_t count, void* into) {
  auto& receiving = *static_cast<Receiving*>(into);
  const std::string_view line(bytes, size * count);
  // A new status line: what an interim answer (100 Continue) carried is not of interest.
  if (line.starts_with("HTTP/")) receiving.answer.headers.clear();
  if (const auto colon = line.find(':'); colon != line.npos) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    receiving.answer.headers[name] = trimmed(line.substr(colon + 1));
  }
  return size * count;
}

class HeaderList {
 public:
  ~HeaderList() { curl_slist_free_all(list_); }
  void add(const std::string& line) { list_ = curl_slist_append(list_, line.c_str()); }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

void set_method(CURL* handle, const HttpRequest& request) {
  if (request.method == "HEAD") {
    curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    return;
  }
  if (request.method != "GET") {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(handle, CURLOPT_POST, 1L);
  }
  curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

Error to_error(CURLcode code, const char* text, const std::string& server) {
  const std::string words =
      fmt::format("{}: {}", server, *text != '\0' ? text : curl_easy_strerror(code));
  return {code == CURLE_OPERATION_TIMEDOUT ? ErrorCode::kTimeout : ErrorCode::kUnavailable, words};
}

}  // namespace

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Result<HttpClient> HttpClient::open(Config config) {
  if (!config.server.starts_with("https://"))
    return fail(ErrorCode::kInvalidArgument, "the server must be given as https://HOST:PORT");
  while (config.server.ends_with('/')) config.server.pop_back();
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (global != CURLE_OK) return fail(ErrorCode::kInternal, "libcurl does not start");
  auto state = std::make_unique<State>();
  state->config = std::move(config);
  state->handle = curl_easy_init();
  if (state->handle == nullptr) return fail(ErrorCode::kInternal, "libcurl does not start");
  return HttpClient(std::move(state));
}

Result<HttpAnswer> HttpClient::send(const HttpRequest& request) {
  return perform(request, {});
}

Result<HttpAnswer> HttpClient::fetch(const HttpRequest& request, const Sink& sink) {
  return perform(request, sink);
}

Result<HttpAnswer> HttpClient::perform(const HttpRequest& request, const Sink& sink) {
  CURL* handle = state_->handle;
  curl_easy_reset(handle);  // keeps the connection
  char text[CURL_ERROR_SIZE] = "";
  Receiving receiving{.bytes_max = request.answer_bytes_max, .handle = handle, .sink = sink};
  HeaderList headers;
  for (const auto& [name, value] : request.headers) headers.add(name + ": " + value);
  headers.add("Expect:");  // no round trip before the body

  curl_easy_setopt(handle, CURLOPT_URL, (state_->config.server + request.path).c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_3));
  if (!state_->config.ca_file.empty())
    curl_easy_setopt(handle, CURLOPT_CAINFO, state_->config.ca_file.c_str());
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "layby/0.1.0");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, 10L);
  if (sink) {
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, kFetchBytesPerSecondMin);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, kFetchSilenceSeconds);
  } else {
    curl_easy_setopt(handle, CURLOPT_TIMEOUT, static_cast<long>(state_->config.answer_seconds_max));
  }
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, text);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &receiving);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &receiving);
  set_method(handle, request);

  const CURLcode code = curl_easy_perform(handle);
  if (receiving.failure) return fail(std::move(*receiving.failure));
  if (receiving.too_much)
    return fail(ErrorCode::kEndlessData, "{} {}: an answer of more than {} bytes", request.method,
                request.path, request.answer_bytes_max);
  if (code != CURLE_OK) return fail(to_error(code, text, state_->config.server));
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  receiving.answer.status = static_cast<int>(status);
  return std::move(receiving.answer);
}

std::string encode_segment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~')
      out += c;
    else
      out += fmt::format("%{:02X}", byte);
  }
  return out;
}

}  // namespace layby::cli
