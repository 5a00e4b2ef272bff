#include "server/http/message.h"

namespace layby::server {
namespace {

enum class In { kPath, kQuery };

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> unescape(std::string_view text, In in) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && in == In::kQuery) {
      out.push_back(' ');
      continue;
    }
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(ErrorCode::kBadFormat, "a bad %-escape in the target");
    const char c = static_cast<char>(high * 16 + low);
    if (c == '\0' || (c == '/' && in == In::kPath))
      return fail(ErrorCode::kBadFormat, "an escaped NUL or slash in the target");
    out.push_back(c);
    i += 2;
  }
  return out;
}

bool has_dot_part(std::string_view path) {
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part == "." || part == "..") return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

std::string_view to_string(Method method) {
  switch (method) {
    case Method::kGet: return "GET";
    case Method::kHead: return "HEAD";
    case Method::kPost: return "POST";
    case Method::kPut: return "PUT";
    case Method::kPatch: return "PATCH";
    case Method::kDelete: return "DELETE";
  }
  return "";
}

std::optional<Method> method_of(std::string_view name) {
  for (const Method method :
       {Method::kGet, Method::kHead, Method::kPost, Method::kPut, Method::kPatch, Method::kDelete})
    if (to_string(method) == name) return method;
  return std::nullopt;
}

Result<void> parse_target(std::string_view target, Request& request) {
  if (const std::size_t scheme = target.find("://"); !target.empty() && target.front() != '/') {
    const std::size_t slash =
        scheme == std::string_view::npos ? scheme : target.find('/', scheme + 3);
    if (slash == std::string_view::npos)
      return fail(ErrorCode::kBadFormat, "the target is neither a path nor a URL with one");
    target.remove_prefix(slash);
  }
  if (target.empty()) return fail(ErrorCode::kBadFormat, "the target is empty");
  const std::size_t question = std::min(target.find('?'), target.size());
  request.path = TRY(unescape(target.substr(0, question), In::kPath));
  if (has_dot_part(request.path))
    return fail(ErrorCode::kBadFormat, "\".\" and \"..\" have no meaning in our paths");
  request.query.clear();
  std::string_view query = target.substr(std::min(question + 1, target.size()));
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    std::string name = TRY(unescape(pair.substr(0, equals), In::kQuery));
    std::string value = TRY(unescape(pair.substr(std::min(equals + 1, pair.size())), In::kQuery));
    if (!name.empty()) request.query.insert_or_assign(std::move(name), std::move(value));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return {};
}

}  // namespace layby::server
