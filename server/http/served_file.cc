#include "server/http/served_file.h"

#include <charconv>
#include <optional>

#include "server/http/problem.h"

namespace layby::server {
namespace {

struct ByteRange {
  std::uint64_t first;
  std::uint64_t last;  // inclusive
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// What follows "bytes=". Nothing if it is not one range that reaches into the file.
std::optional<ByteRange> one_range(std::string_view spec, std::uint64_t size) {
  spec = trimmed(spec);
  const std::size_t dash = spec.find('-');
  if (dash == std::string_view::npos || size == 0) return std::nullopt;
  const std::string_view from = spec.substr(0, dash);
  const std::string_view to = spec.substr(dash + 1);
  if (from.empty()) {
    const auto suffix = number(to);
    if (!suffix || *suffix == 0) return std::nullopt;
    return ByteRange{size - std::min(*suffix, size), size - 1};
  }
  const auto first = number(from);
  if (!first || *first >= size) return std::nullopt;
  if (to.empty()) return ByteRange{*first, size - 1};
  const auto last = number(to);
  if (!last || *last < *first) return std::nullopt;
  return ByteRange{*first, std::min(*last, size - 1)};
}

// Weak comparison (RFC 9110, section 8.8.3.2) against a list, as If-None-Match asks for.
bool none_match_hits(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view one = trimmed(list.substr(0, comma));
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == etag) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace

Response serve_file(const Request& request, const ServedFile& file) {
  Response response;
  response.headers = {
      {"ETag", file.etag}, {"Cache-Control", file.cache_control}, {"Accept-Ranges", "bytes"}};
  if (none_match_hits(request.header("if-none-match"), file.etag)) {
    response.status = 304;
    return response;
  }
  response.headers["Content-Type"] = file.content_type;
  std::string_view range = request.header("range");
  const std::string_view if_range = request.header("if-range");
  const bool other_version = !if_range.empty() && if_range != file.etag;
  if (request.method != Method::kGet || other_version || !range.starts_with("bytes=")) {
    response.body = FilePart{file.path, 0, file.size};
    return response;
  }
  range.remove_prefix(6);
  const std::optional<ByteRange> part = one_range(range, file.size);
  if (!part) {
    response = problem(416, "range-not-satisfiable", "one range within the file is needed");
    response.headers["Content-Range"] = fmt::format("bytes */{}", file.size);
    return response;
  }
  response.status = 206;
  response.headers["Content-Range"] =
      fmt::format("bytes {}-{}/{}", part->first, part->last, file.size);
  response.body = FilePart{file.path, part->first, part->last - part->first + 1};
  return response;
}

}  // namespace layby::server
