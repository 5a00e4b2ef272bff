#include "server/http/problem.h"

#include "base/result.h"
#include "base/utf8.h"

namespace layby::server {
namespace {

// A JSON string. Details quote what callers sent, which need not be UTF-8.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const std::size_t length = utf8_length(text, at);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else if (length == 0) {
      out += "\\ufffd";
    } else {
      out += text.substr(at, length);
    }
    at += std::max<std::size_t>(length, 1);
  }
  return out + "\"";
}

std::string_view title_of(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 507: return "Insufficient Storage";
    default: return "Error";
  }
}

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kBadJson:
    case ErrorCode::kBadCanonicalJson:
    case ErrorCode::kBadFormat: return 400;
    case ErrorCode::kUnauthenticated: return 401;
    case ErrorCode::kForbidden: return 403;
    case ErrorCode::kNotFound: return 404;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kConflict:
    case ErrorCode::kCancelled:
    case ErrorCode::kReplay: return 409;
    case ErrorCode::kTooLarge:
    case ErrorCode::kEndlessData: return 413;
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout: return 503;
    case ErrorCode::kDiskFull: return 507;
    case ErrorCode::kIo:
    case ErrorCode::kCorrupt:
    case ErrorCode::kInternal:
    case ErrorCode::kEncoderDefect: return 500;
    case ErrorCode::kUnsupported:
    case ErrorCode::kBadSignature:
    case ErrorCode::kRollback:
    case ErrorCode::kFreeze:
    case ErrorCode::kMixAndMatch:
    case ErrorCode::kSlowRetrieval:
    case ErrorCode::kWrongVehicle:
    case ErrorCode::kWrongEcu:
    case ErrorCode::kRepositoriesDisagree:
    case ErrorCode::kImageRollback:
    case ErrorCode::kWrongImage:
    case ErrorCode::kLicenceRefused:
    case ErrorCode::kUntrustedTime:
    case ErrorCode::kBadPayload:
    case ErrorCode::kWrongBase:
    case ErrorCode::kWrongChunk:
    case ErrorCode::kNotEnoughSpace:
    case ErrorCode::kConditionsNotMet:
    case ErrorCode::kInstallFailed:
    case ErrorCode::kActivationFailed:
    case ErrorCode::kHealthCheckFailed:
    case ErrorCode::kPrivateMode:
    case ErrorCode::kByteBudgetSpent:
    case ErrorCode::kSlotsDisagree:
    case ErrorCode::kEcuRefused: return 422;
  }
  return 500;
}

}  // namespace

Response problem(int status, std::string_view code, std::string_view detail,
                 const std::vector<Reason>& reasons) {
  std::string body = fmt::format(R"({{"type":"about:blank","title":{},"status":{},"code":{})",
                                 quoted(title_of(status)), status, quoted(code));
  if (!detail.empty()) body += ",\"detail\":" + quoted(detail);
  if (!reasons.empty()) {
    body += ",\"reasons\":[";
    for (std::size_t i = 0; i < reasons.size(); ++i)
      body += fmt::format(R"({}{{"rule":{},"text":{}}})", i == 0 ? "" : ",",
                          quoted(reasons[i].rule), quoted(reasons[i].text));
    body += "]";
  }
  Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/problem+json"}, {"Cache-Control", "no-store"}};
  if (status == 401) response.headers["WWW-Authenticate"] = "Bearer";
  if (status == 503) response.headers["Retry-After"] = "5";
  response.body = body + "}";
  return response;
}

Response problem(const Error& error) {
  const int status = status_of(error.code());
  if (status != 500) return problem(status, to_string(error.code()), error.message());
  Response response = problem(500, "internal", "the server failed; its log says why");
  response.diagnosis = fmt::format("{}: {}", to_string(error.code()), error.message());
  return response;
}

}  // namespace layby::server
