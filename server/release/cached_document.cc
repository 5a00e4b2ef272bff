#include "server/release/cached_document.h"

#include <charconv>

namespace layby::server {

namespace {

// RFC 9110, section 13.1.2: a list of entity tags, compared weakly, or "*".
bool names_tag(std::string_view if_none_match, std::string_view etag) {
  while (!if_none_match.empty()) {
    const std::size_t comma = std::min(if_none_match.find(','), if_none_match.size());
    std::string_view tag = if_none_match.substr(0, comma);
    if_none_match.remove_prefix(std::min(comma + 1, if_none_match.size()));
    while (!tag.empty() && tag.front() == ' ') tag.remove_prefix(1);
    while (!tag.empty() && tag.back() == ' ') tag.remove_suffix(1);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag || tag == "*") return true;
  }
  return false;
}

const char* cache_control(Caching caching) {
  switch (caching) {
    case Caching::kRevalidate: return "no-cache";
    case Caching::kImmutable: return "public, max-age=31536000, immutable";
    case Caching::kPrivate: return "private, no-cache";
  }
  return "no-store";
}

}  // namespace

std::string encode_cached(const CachedDocument& document) {
  return fmt::format("{} {} {}\n{}", document.resign_at,
                     document.certificate ? to_hex(*document.certificate) : "-", document.root,
                     document.bytes);
}

Result<CachedDocument> decode_cached(std::string_view value) {
  const auto corrupt = [] { return fail(ErrorCode::kCorrupt, "a cached document has no header"); };
  const std::size_t newline = value.find('\n');
  if (newline == std::string_view::npos) return corrupt();
  const std::string_view header = value.substr(0, newline);
  CachedDocument document;
  const auto [end, error] =
      std::from_chars(header.data(), header.data() + header.size(), document.resign_at);
  if (error != std::errc{} || end == header.data() + header.size() || *end != ' ') return corrupt();
  std::string_view certificate = header.substr(static_cast<std::size_t>(end - header.data()) + 1);
  // Absent in documents of before there was a second root.
  if (const std::size_t space = certificate.find(' '); space != std::string_view::npos) {
    const std::string_view root = certificate.substr(space + 1);
    const auto [stop, bad] = std::from_chars(root.data(), root.data() + root.size(), document.root);
    if (bad != std::errc{} || stop != root.data() + root.size()) return corrupt();
    certificate = certificate.substr(0, space);
  }
  if (certificate != "-") {
    const auto digest = array_from_hex<32>(certificate);
    if (!digest) return corrupt();
    document.certificate = *digest;
  }
  document.bytes = value.substr(newline + 1);
  return document;
}

std::string etag_of(std::string_view bytes) {
  return fmt::format("\"{}\"", to_hex(crypto::sha256(as_bytes(bytes))).substr(0, 32));
}

Response document_response(const Request& request, std::string bytes, Caching caching) {
  Response response;
  const std::string etag = etag_of(bytes);
  response.headers["ETag"] = etag;
  response.headers["Cache-Control"] = cache_control(caching);
  if (names_tag(request.header("if-none-match"), etag)) {
    response.status = 304;
    return response;
  }
  response.headers["Content-Type"] = "application/json";
  response.body = std::move(bytes);
  return response;
}

}  // namespace layby::server
