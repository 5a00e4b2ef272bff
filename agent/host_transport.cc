#include "agent/host_transport.h"

#include <algorithm>
#include <cctype>
#include <exception>

#include "base/assert.h"

using layby::ByteSpan;
using layby::Clock;
using layby::Error;
using layby::ErrorCode;
using layby::Result;
using layby::agent::BodySink;
using layby::agent::HttpRequest;
using layby::agent::HttpResponse;

namespace {

constexpr std::size_t kHeaderBytesMax = 64 * 1024;  // of one exchange
constexpr int kStatusMin = 100, kStatusMax = 599;

}  // namespace

// What one exchange collects. The host hands it back to the functions below, through frames of its
// own: no exception may leave them.
struct layby_answer {
  const HttpRequest& request;
  const BodySink& sink;
  const Clock& clock;
  std::int64_t started_ms;
  std::int64_t window_began_ms;
  std::uint64_t window_bytes = 0;
  std::size_t header_bytes = 0;
  HttpResponse response{};
  std::optional<Error> failure{};  // the first: it is the result
  bool out_of_memory = false;

  void fail_with(ErrorCode code, std::string_view text) {
    if (!failure) failure = Error(code, request.path + ": " + std::string(text));
  }
  bool is_for_sink() const {
    if (!sink) return false;
    if (!request.range) return response.status >= 200 && response.status < 300;
    const std::string begin = fmt::format("bytes {}-", request.range->offset);
    return response.status == 206 && response.header("content-range").starts_with(begin);
  }
  void watch_time();
  void take(ByteSpan bytes);
};

// Slower than asked for over a whole window, or past the deadline.
void layby_answer::watch_time() {
  const std::int64_t now_ms = clock.monotonic_ms();
  if (now_ms - started_ms > request.deadline_ms)
    fail_with(ErrorCode::kSlowRetrieval, "past its deadline");
  const std::int64_t window_ms = std::int64_t{1000} * std::max(1, request.rate_window_seconds);
  if (now_ms - window_began_ms < window_ms) return;
  const auto seconds = static_cast<std::uint64_t>((now_ms - window_began_ms) / 1000);
  if (window_bytes < request.bytes_per_second_min * seconds)
    fail_with(ErrorCode::kSlowRetrieval, "slower than the slowest that is allowed");
  window_began_ms = now_ms;
  window_bytes = 0;
}

void layby_answer::take(ByteSpan bytes) {
  response.bytes_received += bytes.size();
  window_bytes += bytes.size();
  if (request.body_bytes != nullptr) *request.body_bytes += bytes.size();
  if (response.bytes_received > request.bytes_max)
    return fail_with(ErrorCode::kEndlessData,
                     fmt::format("more than the {} bytes that were allowed", request.bytes_max));
  watch_time();
  if (failure) return;
  if (!sink) {
    response.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  } else if (is_for_sink()) {
    if (auto taken = sink(bytes); !taken) failure = taken.error();
  }
}

void layby_answer_status(layby_answer* answer, int status) {
  if (answer == nullptr) return;
  answer->response.status = status;
  answer->response.headers.clear();
}

void layby_answer_header(layby_answer* answer, const char* name, const char* value) {
  if (answer == nullptr || name == nullptr || value == nullptr || answer->failure) return;
  try {
    std::string lower(name), text(value);
    answer->header_bytes += lower.size() + text.size();
    if (answer->header_bytes > kHeaderBytesMax)
      return answer->fail_with(ErrorCode::kEndlessData, "more header than is allowed");
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    answer->response.headers[std::move(lower)] = std::move(text);
  } catch (const std::exception&) {
    answer->out_of_memory = true;
  }
}

int layby_answer_body(layby_answer* answer, const void* bytes, size_t count) {
  if (answer == nullptr || (bytes == nullptr && count > 0)) return LAYBY_INVALID_ARGUMENT;
  try {
    if (!answer->failure && count > 0)
      answer->take({static_cast<const std::uint8_t*>(bytes), count});
  } catch (const std::exception&) {
    answer->out_of_memory = true;
  }
  if (answer->out_of_memory) return LAYBY_INTERNAL;
  return answer->failure ? static_cast<int>(answer->failure->code()) : LAYBY_OK;
}

namespace layby::agent {
namespace {

ErrorCode code_of(int result) {
  switch (result) {
    case LAYBY_TIMEOUT: return ErrorCode::kTimeout;
    case LAYBY_UNAUTHENTICATED: return ErrorCode::kUnauthenticated;
    case LAYBY_CANCELLED: return ErrorCode::kCancelled;
    case LAYBY_ENDLESS_DATA: return ErrorCode::kEndlessData;
    case LAYBY_SLOW_RETRIEVAL: return ErrorCode::kSlowRetrieval;
    default: return ErrorCode::kUnavailable;  // the network in all its ways
  }
}

}  // namespace

Result<HttpResponse> HostTransport::exchange(const HttpRequest& request, const BodySink& sink) {
  LAYBY_ASSERT(!request.range || request.range->length > 0);
  std::vector<layby_header> headers;
  for (const auto& [name, value] : request.headers)
    headers.push_back({name.c_str(), value.c_str()});
  const layby_request asked{.method = request.method == HttpRequest::Method::kPost ? "POST" : "GET",
                            .path = request.path.c_str(),
                            .headers = headers.data(),
                            .header_count = headers.size(),
                            .body = request.body.data(),
                            .body_bytes = request.body.size(),
                            .range_offset = request.range ? request.range->offset : 0,
                            .range_bytes = request.range ? request.range->length : 0,
                            .bytes_max = request.bytes_max,
                            .deadline_ms = request.deadline_ms,
                            .bytes_per_second_min = request.bytes_per_second_min,
                            .rate_window_seconds = request.rate_window_seconds};
  const std::int64_t now_ms = clock_.monotonic_ms();
  layby_answer answer{request, sink, clock_, now_ms, now_ms};
  const int result = host_.exchange(host_.context, &asked, &answer);
  if (answer.out_of_memory) return fail(ErrorCode::kInternal, "{}: no memory", request.path);
  if (answer.failure) return fail(std::move(*answer.failure));
  if (result != LAYBY_OK)
    return fail(code_of(result), "{}: the host's transport answered {}", request.path, result);
  if (answer.response.status < kStatusMin || answer.response.status > kStatusMax)
    return fail(ErrorCode::kUnavailable, "{}: the host's transport said status {}", request.path,
                answer.response.status);
  return std::move(answer.response);
}

}  // namespace layby::agent
