#include "server/fleet/json_answer.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "manifest/json_value.h"

namespace layby::server {

using manifest::Json;

namespace {
constexpr std::uint64_t kBodyBytesMax = kMiB;
constexpr std::uint64_t kStoredBytesMax = 16 * kMiB;
constexpr std::size_t kPageLimitDefault = 100;
}  // namespace

Result<Json> json_body(const Request& request) {
  Json body = TRY_CONTEXT(
      manifest::parse_strict(as_bytes(request.body), {.bytes_max = kBodyBytesMax}), "body");
  if (!body.is_object()) return fail(ErrorCode::kBadFormat, "body: must be a JSON object");
  return body;
}

Result<void> check_fields(const Json& object, const std::vector<std::string_view>& known) {
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      return fail(ErrorCode::kBadFormat, "unknown field \"{}\"", name);
  }
  return {};
}

Response json_response(int status, const Json& value) {
  Response response;
  response.status = status;
  response.headers["Content-Type"] = "application/json";
  response.body = to_stored(value);
  return response;
}

Result<Json> parse_stored(std::string_view key, std::string_view value) {
  Result<Json> parsed = manifest::parse_strict(as_bytes(value), {.bytes_max = kStoredBytesMax});
  if (!parsed) return fail(ErrorCode::kCorrupt, "record {}: {}", key, parsed.error().message());
  return std::move(*parsed);
}

std::string to_stored(const Json& value) {
  Result<std::string> text = manifest::to_wire(value);
  LAYBY_ASSERT(text);  // everything that comes in was checked by parse_strict
  return std::move(*text);
}

Result<std::vector<std::string>> texts_field(const Json& object, std::string_view key,
                                             std::size_t count_max, std::size_t length_max) {
  std::vector<std::string> texts;
  if (!manifest::find_field(object, key)) return texts;
  const Json& list = *TRY(manifest::array_field(object, key));
  if (list.size() > count_max)
    return fail(ErrorCode::kBadFormat, "\"{}\": at most {} entries", key, count_max);
  for (const Json& entry : list) {
    const auto* text = entry.get_ptr<const std::string*>();
    if (text == nullptr || text->empty() || text->size() > length_max)
      return fail(ErrorCode::kBadFormat, "\"{}\": each must be a text of 1 to {} characters", key,
                  length_max);
    texts.push_back(*text);
  }
  return texts;
}

Result<std::optional<bool>> flag_field(const Json& object, std::string_view key) {
  const Json* value = manifest::find_field(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return fail(ErrorCode::kBadFormat, "\"{}\": true or false", key);
  return value->get<bool>();
}

Result<Page> read_page(const Request& request) {
  Page page{.after = {}, .limit = kPageLimitDefault};
  if (const auto after = request.query.find("after"); after != request.query.end())
    page.after = after->second;
  if (const auto limit = request.query.find("limit"); limit != request.query.end()) {
    const std::string& text = limit->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), page.limit);
    if (error != std::errc{} || end != text.data() + text.size() || page.limit == 0 ||
        page.limit > kPageLimitMax)
      return fail(ErrorCode::kInvalidArgument, "limit: 1 to {}", kPageLimitMax);
  }
  return page;
}

}  // namespace layby::server
