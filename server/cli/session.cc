#include "server/cli/session.h"

#include <cstdio>
#include <cstdlib>

#include "manifest/json_value.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

constexpr std::uint64_t kSecretBytesMax = 4 * kKiB;

void print_problem(const Json& problem, int status) {
  const auto text = [&](std::string_view key) {
    return manifest::text_field(problem, key).value_or("");
  };
  fmt::print(stderr, "layby: refused: {} ({} {})\n",
             text("detail").empty() ? text("title") : text("detail"), status, text("code"));
  const Json* reasons = manifest::find_field(problem, "reasons");
  if (reasons == nullptr || !reasons->is_array()) return;
  for (const Json& reason : *reasons)
    fmt::print(stderr, "  - {} ({})\n", manifest::text_field(reason, "text").value_or(""),
               manifest::text_field(reason, "rule").value_or(""));
}

}  // namespace

Result<std::string> read_secret(Disk& disk, const std::string& path) {
  const Bytes bytes = TRY(read_file(disk, path, kSecretBytesMax));
  std::string_view text = as_text(bytes);
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return std::string();
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

Result<Session> Session::open(const SessionConfig& config) {
  RealDisk disk;
  std::string token;
  if (!config.token_file.empty()) {
    token = TRY_CONTEXT(read_secret(disk, config.token_file), "the token");
  } else if (const char* given = std::getenv("LAYBY_TOKEN"); given != nullptr) {
    token = given;
  }
  if (token.find_first_of("\r\n") != token.npos)
    return fail(ErrorCode::kInvalidArgument, "the token must be one line");
  HttpClient http = TRY(HttpClient::open({.server = config.server, .ca_file = config.ca_file}));
  return Session(std::move(http), std::move(token), config.form);
}

Result<HttpAnswer> Session::exchange(HttpRequest request) {
  if (!token_.empty()) request.headers["Authorization"] = "Bearer " + token_;
  return http_.send(request);
}

Result<HttpAnswer> Session::fetch(HttpRequest request, const HttpClient::Sink& sink) {
  if (!token_.empty()) request.headers["Authorization"] = "Bearer " + token_;
  return http_.fetch(request, sink);
}

Result<HttpAnswer> Session::accept(HttpAnswer answer, const HttpRequest& request) {
  if (answer.status >= 200 && answer.status < 300) return answer;
  refusal_ = Refusal{.status = answer.status, .body = std::move(answer.body)};
  return fail(ErrorCode::kCancelled, "{} {}: status {}", request.method, request.path,
              answer.status);
}

Result<Json> Session::call_with(HttpRequest request) {
  HttpAnswer raw = TRY(exchange(request));
  const HttpAnswer answer = TRY(accept(std::move(raw), request));
  if (answer.body.empty()) return Json();
  auto parsed = manifest::parse_strict(as_bytes(answer.body), {.bytes_max = kAnswerBytesMax});
  if (parsed) return std::move(*parsed);
  // What is no answer counts like a failing server.
  refusal_ = Refusal{.status = 502, .body = answer.body};
  return fail(std::move(parsed.error()).with_context(request.path));
}

Result<Json> Session::get(const std::string& path) {
  return call_with({.method = "GET", .path = path, .headers = {}, .body = {}});
}

Result<Json> Session::call(const std::string& method, const std::string& path, const Json& body) {
  const std::string text = body.is_null() ? std::string() : TRY(manifest::to_wire(body));
  HttpRequest request{.method = method, .path = path, .headers = {}, .body = text};
  if (!text.empty()) request.headers["Content-Type"] = "application/json";
  return call_with(std::move(request));
}

Result<Json> Session::call_once(const std::string& path, const Json& body, const std::string& key) {
  const std::string text = TRY(manifest::to_wire(body));
  HttpRequest request{.method = "POST", .path = path, .headers = {}, .body = text};
  request.headers["Content-Type"] = "application/json";
  request.headers["Idempotency-Key"] = key;
  auto answer = call_with(std::move(request));
  if (!answer && !refusal_)
    fmt::print(stderr,
               "layby: it is not known whether the server did it; the same command with "
               "--idempotency-key {} finds out and never does it twice\n",
               key);
  return answer;
}

Error Session::in_vain(std::string text) {
  in_vain_ = true;
  return {ErrorCode::kTimeout, std::move(text)};
}

ExitStatus report(const Session& session, const Error& error) {
  if (const auto& refusal = session.refusal()) {
    const bool failed = refusal->status >= 500;
    const auto problem =
        manifest::parse_strict(as_bytes(refusal->body), {.bytes_max = kAnswerBytesMax});
    if (problem && problem->is_object()) {
      if (session.form() == OutputForm::kJson) print_json(*problem);
      print_problem(*problem, refusal->status);
    } else {
      fmt::print(stderr, "layby: {}\n", error.message());
    }
    return failed ? ExitStatus::kServerFailed : ExitStatus::kRefused;
  }
  fmt::print(stderr, "layby: {}\n", error.message());
  if (session.waited_in_vain()) return ExitStatus::kInVain;
  const ErrorCode code = error.code();
  if (code == ErrorCode::kUnavailable || code == ErrorCode::kTimeout)
    return ExitStatus::kNoConnection;
  return code == ErrorCode::kEndlessData ? ExitStatus::kServerFailed : ExitStatus::kLocal;
}

}  // namespace layby::cli
