// JSON in and out of handlers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/json.h"
#include "server/http/message.h"

namespace layby::server {

// The request's body as an object. kBadJson, kBadFormat.
Result<manifest::Json> json_body(const Request& request);

// kBadFormat, naming it, for a field that is none of `known`: a misspelt field must not be silently
// without effect.
Result<void> check_fields(const manifest::Json& object, const std::vector<std::string_view>& known);

// `value` as the body. Cannot fail for what came from parse_strict or was made of valid UTF-8.
Response json_response(int status, const manifest::Json& value);

// What we store and read back ourselves: kCorrupt when it does not parse.
Result<manifest::Json> parse_stored(std::string_view key, std::string_view value);
std::string to_stored(const manifest::Json& value);

// A list of texts, each of 1 to `length_max` characters, at most `count_max`. kBadFormat; empty
// where the field is absent.
Result<std::vector<std::string>> texts_field(const manifest::Json& object, std::string_view key,
                                             std::size_t count_max, std::size_t length_max = 100);

// True or false, or nothing where the field is absent. kBadFormat.
Result<std::optional<bool>> flag_field(const manifest::Json& object, std::string_view key);

// `?after=` and `?limit=` of a list.
struct Page {
  std::string after;
  std::size_t limit;
};
constexpr std::size_t kPageLimitMax = 1000;
Result<Page> read_page(const Request& request);

}  // namespace layby::server
