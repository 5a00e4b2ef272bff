#include "agent/viss_message.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "agent/websocket.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/time_text.h"
#include "manifest/json_numbers.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;

constexpr std::size_t kPathBytesMax = 512;
constexpr std::size_t kPathsMax = 256;
constexpr std::size_t kPointsMax = 4096;
constexpr std::size_t kFractionMax = 30;  // digits, and the Z
constexpr std::uint32_t kPeriodMsMax = 86'400'000;
constexpr std::uint32_t kCurvePointsMax = 10'000;

constexpr std::string_view kStaticMetadata = "static-metadata";
constexpr std::string_view kDynamicMetadata = "dynamic-metadata";

constexpr std::array<std::pair<VissAction, std::string_view>, 5> kActions = {{
    {VissAction::kGet, "get"},
    {VissAction::kSet, "set"},
    {VissAction::kSubscribe, "subscribe"},
    {VissAction::kUnsubscribe, "unsubscribe"},
    {VissAction::kSubscription, "subscription"},
}};

constexpr std::array<std::pair<VissRelation, std::string_view>, 6> kRelations = {{
    {VissRelation::kEqual, "eq"},
    {VissRelation::kNotEqual, "ne"},
    {VissRelation::kGreater, "gt"},
    {VissRelation::kAtLeast, "gte"},
    {VissRelation::kLess, "lt"},
    {VissRelation::kAtMost, "lte"},
}};

template <typename Table>
auto name_of(const Table& table, decltype(table[0].first) value) {
  for (const auto& [entry, name] : table)
    if (entry == value) return name;
  LAYBY_ASSERT(false);
}

template <typename Table>
auto value_of(const Table& table, std::string_view text) -> Result<decltype(table[0].first)> {
  for (const auto& [entry, name] : table)
    if (name == text) return entry;
  return fail(ErrorCode::kBadFormat, "VISS: {} is not known", text.substr(0, 40));
}

std::string wire(const Json& json) {
  auto text = manifest::to_wire(json);
  LAYBY_ASSERT(text.has_value());  // only texts that were read or made here
  return std::move(*text);
}

Result<Json> parse_object(std::string_view text) {
  Json json = TRY(manifest::parse_with_numbers_as_text(as_bytes(text),
                                                       {.bytes_max = kWebSocketMessageBytesMax}));
  if (!json.is_object()) return fail(ErrorCode::kBadFormat, "VISS: a message that is no object");
  return json;
}

// "" where there is none.
Result<std::string> optional_text(const Json& json, std::string_view key) {
  if (manifest::find_field(json, key) == nullptr) return std::string();
  return manifest::text_field(json, key);
}

Result<std::uint32_t> number(const Json& json, std::string_view key, std::uint32_t max) {
  std::uint64_t value = 0;
  const std::string text = TRY(manifest::text_field(json, key));
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || at != text.data() + text.size())
    return fail(ErrorCode::kBadFormat, "VISS: {} is no whole number", key);
  if (value == 0 || value > max)
    return fail(ErrorCode::kBadFormat, "VISS: {} must be 1 to {}", key, max);
  return static_cast<std::uint32_t>(value);
}

// As it was written.
Result<std::string> decimal(const Json& json, std::string_view key, double min) {
  std::string text = TRY(manifest::text_field(json, key));
  const auto value = parse_viss_number(text);
  if (!value || *value < min)
    return fail(ErrorCode::kBadFormat, "VISS: {} is no number, or too small", key);
  return text;
}

// An empty one for a value that is none of ours.
std::optional<std::string> value_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  return std::nullopt;
}

// ---- filters ------------------------------------------------------------------------------------

Json boundary_json(const VissBoundary& boundary) {
  return {{"boundary-op", to_string(boundary.relation)}, {"boundary", boundary.boundary}};
}

struct FilterJson {
  Json operator()(const VissTimebased& filter) const {
    return {{"type", "timebased"}, {"parameter", {{"period", std::to_string(filter.period_ms)}}}};
  }
  Json operator()(const VissChange& filter) const {
    return {{"type", "change"},
            {"parameter", {{"logic-op", to_string(filter.relation)}, {"diff", filter.difference}}}};
  }
  Json operator()(const VissRange& filter) const {
    Json parameter = boundary_json(filter.first);
    if (filter.second) {
      parameter["combination-op"] = filter.combine == VissRange::Combine::kAnd ? "AND" : "OR";
      parameter = Json::array({std::move(parameter), boundary_json(*filter.second)});
    }
    return {{"type", "range"}, {"parameter", std::move(parameter)}};
  }
  Json operator()(const VissCurvelog& filter) const {
    return {
        {"type", "curvelog"},
        {"parameter", {{"maxerr", filter.error_max}, {"bufsize", std::to_string(filter.points)}}}};
  }
  Json operator()(const VissHistory& filter) const {
    return {{"type", "history"}, {"parameter", filter.period}};
  }
  Json operator()(const VissMetadata& filter) const {
    const bool is_static = filter.kind == VissMetadata::Kind::kStatic;
    Json names = filter.names;
    if (filter.names.size() < 2) names = filter.names.empty() ? "" : filter.names.front();
    return {{"type", is_static ? kStaticMetadata : kDynamicMetadata}, {"parameter", names}};
  }
};

Result<VissBoundary> read_boundary(const Json& json) {
  const std::string relation = TRY(manifest::text_field(json, "boundary-op"));
  VissBoundary boundary;
  boundary.relation = TRY(value_of(kRelations, relation));
  boundary.boundary = TRY(manifest::text_field(json, "boundary"));
  return boundary;
}

Result<VissFilter> read_range(const Json& parameter) {
  VissRange range;
  if (!parameter.is_array()) {
    range.first = TRY(read_boundary(parameter));
    return range;
  }
  if (parameter.size() != 2)
    return fail(ErrorCode::kBadFormat, "VISS: a range has one boundary or two");
  range.first = TRY(read_boundary(parameter[0]));
  range.second = TRY(read_boundary(parameter[1]));
  const std::string combine = TRY(optional_text(parameter[0], "combination-op"));
  if (combine != "" && combine != "AND" && combine != "OR")
    return fail(ErrorCode::kBadFormat, "VISS: combination-op is AND or OR");
  if (combine == "OR") range.combine = VissRange::Combine::kOr;
  return range;
}

// One text or a list of them.
Result<std::vector<std::string>> read_texts(const Json& parameter) {
  std::vector<std::string> texts;
  const Json list = parameter.is_array() ? parameter : Json::array({parameter});
  for (const Json& text : list) {
    if (!text.is_string() || texts.size() >= kPathsMax)
      return fail(ErrorCode::kBadFormat, "VISS: no text, or more than {}", kPathsMax);
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

Result<VissFilter> read_metadata(VissMetadata::Kind kind, const Json& parameter) {
  VissMetadata metadata{.kind = kind};
  if (parameter == "") return metadata;
  metadata.names = TRY(read_texts(parameter));
  if (std::ranges::any_of(metadata.names, &std::string::empty))
    return fail(ErrorCode::kBadFormat, "VISS: an empty name");
  return metadata;
}

Result<VissFilter> read_filter(std::string_view type, const Json& parameter) {
  if (type == "range") return read_range(parameter);
  if (type == kStaticMetadata) return read_metadata(VissMetadata::Kind::kStatic, parameter);
  if (type == kDynamicMetadata) return read_metadata(VissMetadata::Kind::kDynamic, parameter);
  if (type == "history") {
    if (!parameter.is_string()) return fail(ErrorCode::kBadFormat, "VISS: a period is wanted");
    return VissHistory{parameter.get<std::string>()};
  }
  if (type == "timebased") {
    VissTimebased timebased;
    timebased.period_ms = TRY(number(parameter, "period", kPeriodMsMax));
    return timebased;
  }
  if (type == "curvelog") {
    VissCurvelog curvelog;
    curvelog.error_max = TRY(decimal(parameter, "maxerr", 0));
    curvelog.points = TRY(number(parameter, "bufsize", kCurvePointsMax));
    return curvelog;
  }
  if (type != "change")
    return fail(ErrorCode::kBadFormat, "VISS: no filter {}", type.substr(0, 40));
  const std::string relation = TRY(manifest::text_field(parameter, "logic-op"));
  VissChange change;
  change.relation = TRY(value_of(kRelations, relation));
  change.difference = TRY(decimal(parameter, "diff", std::numeric_limits<double>::lowest()));
  return change;
}

// CORE, "Filter Request": at most one of type paths and one of another type.
Result<void> read_filters(const Json& json, VissRequest& request) {
  const Json list = json.is_array() ? json : Json::array({json});
  for (const Json& object : list) {
    const std::string type = TRY(manifest::text_field(object, "type"));
    const Json* parameter = manifest::find_field(object, "parameter");
    if (parameter == nullptr) return fail(ErrorCode::kBadFormat, "VISS: no parameter of {}", type);
    if (type == "paths") {
      if (!request.paths.empty()) return fail(ErrorCode::kBadFormat, "VISS: two filters of paths");
      request.paths = TRY(read_texts(*parameter));
    } else if (request.filter) {
      return fail(ErrorCode::kBadFormat, "VISS: too many filters");
    } else {
      request.filter = TRY(read_filter(type, *parameter));
    }
  }
  return {};
}

// ---- answers ------------------------------------------------------------------------------------

std::optional<std::int64_t> time_of(const Json& json) {
  const auto text = manifest::text_field(json, "ts");
  if (!text) return std::nullopt;
  const auto at_ms = parse_viss_time(*text);
  return at_ms ? std::optional(*at_ms) : std::nullopt;
}

Result<void> read_point(const std::string& path, const Json& dp, VissAnswer& answer) {
  if (answer.points.size() >= kPointsMax)
    return fail(ErrorCode::kBadFormat, "VISS: more than {} data points", kPointsMax);
  const Json* value = manifest::find_field(dp, "value");
  const auto at_ms = time_of(dp);
  auto text = value != nullptr ? value_text(*value) : std::nullopt;
  if (text && at_ms) answer.points.push_back({path, std::move(*text), *at_ms});
  return {};
}

// CORE, "Response syntax": one path or several, for each one data point or several.
Result<void> read_data(const Json& data, VissAnswer& answer) {
  const auto read_path = [&answer](const Json& object) -> Result<void> {
    auto path = manifest::text_field(object, "path");
    const Json* dp = manifest::find_field(object, "dp");
    if (!path || path->size() > kPathBytesMax || dp == nullptr) return {};
    std::replace(path->begin(), path->end(), '/', '.');  // both are allowed
    if (!dp->is_array()) return read_point(*path, *dp, answer);
    for (const Json& point : *dp) TRY_VOID(read_point(*path, point, answer));
    return {};
  };
  if (!data.is_array()) return read_path(data);
  for (const Json& object : data) TRY_VOID(read_path(object));
  return {};
}

VissError read_error(const Json& json) {
  VissError error;
  const auto number_text = manifest::text_field(json, "number").value_or("");
  const char* end = number_text.data() + number_text.size();
  int value = 0;
  const auto [at, wrong] = std::from_chars(number_text.data(), end, value);
  if (wrong == std::errc() && at == end && value > 0 && value <= 999) error.number = value;
  error.reason = manifest::text_field(json, "reason").value_or("");
  error.message = manifest::text_field(json, "message").value_or("");
  return error;
}

Json point_json(const VissPoint& point) {
  return {{"value", point.value}, {"ts", format_viss_time(point.at_ms)}};
}

// Points of one path stand together.
Json data_json(const std::vector<VissPoint>& points) {
  Json list = Json::array();
  for (auto at = points.begin(); at != points.end();) {
    const auto end = std::find_if(at, points.end(),
                                  [&](const VissPoint& point) { return point.path != at->path; });
    Json dp = point_json(*at);
    if (end - at > 1) {
      dp = Json::array();
      for (auto point = at; point != end; ++point) dp.push_back(point_json(*point));
    }
    list.push_back({{"path", at->path}, {"dp", std::move(dp)}});
    at = end;
  }
  return list.size() == 1 ? Json(list[0]) : list;
}

}  // namespace

std::string_view to_string(VissAction action) {
  return name_of(kActions, action);
}

std::string_view to_string(VissRelation relation) {
  return name_of(kRelations, relation);
}

std::string VissError::text() const {
  return fmt::format("{} {}: {}", number, reason, message);
}

std::string encode(const VissRequest& request) {
  Json json = {{"action", to_string(request.action)}, {"requestId", request.request_id}};
  if (!request.path.empty()) json["path"] = request.path;
  if (request.action == VissAction::kSet) json["value"] = request.value;
  if (!request.subscription_id.empty()) json["subscriptionId"] = request.subscription_id;
  if (!request.authorization.empty()) json["authorization"] = request.authorization;
  Json filters = Json::array();
  if (!request.paths.empty()) filters.push_back({{"type", "paths"}, {"parameter", request.paths}});
  if (request.filter) filters.push_back(std::visit(FilterJson{}, *request.filter));
  if (!filters.empty()) json["filter"] = filters.size() == 1 ? Json(filters[0]) : filters;
  return wire(json);
}

Result<VissRequest> read_viss_request(std::string_view text) {
  const Json json = TRY(parse_object(text));
  VissRequest request;
  const std::string action = TRY(manifest::text_field(json, "action"));
  request.action = TRY(value_of(kActions, action));
  request.request_id = TRY(manifest::text_field(json, "requestId"));
  request.authorization = TRY(optional_text(json, "authorization"));
  switch (request.action) {
    case VissAction::kSubscription:
      return fail(ErrorCode::kBadFormat, "VISS: subscription is no request");
    case VissAction::kUnsubscribe:
      request.subscription_id = TRY(manifest::text_field(json, "subscriptionId"));
      return request;
    case VissAction::kSet: {
      const Json* value = manifest::find_field(json, "value");
      auto value_set = value != nullptr ? value_text(*value) : std::nullopt;
      if (!value_set) return fail(ErrorCode::kBadFormat, "VISS: no value to set");
      request.value = std::move(*value_set);
      break;
    }
    case VissAction::kGet:
    case VissAction::kSubscribe:
      if (const Json* filter = manifest::find_field(json, "filter"))
        TRY_VOID(read_filters(*filter, request));
      break;
  }
  const bool is_of_get = request.filter && (std::holds_alternative<VissHistory>(*request.filter) ||
                                            std::holds_alternative<VissMetadata>(*request.filter));
  if (request.filter && is_of_get != (request.action == VissAction::kGet))
    return fail(ErrorCode::kBadFormat, "VISS: a filter of another action");
  request.path = TRY(manifest::text_field(json, "path"));
  if (request.path.empty() || request.path.size() > kPathBytesMax)
    return fail(ErrorCode::kBadFormat, "VISS: a path of {} bytes", request.path.size());
  std::replace(request.path.begin(), request.path.end(), '/', '.');  // both are allowed
  return request;
}

std::string encode(const VissAnswer& answer) {
  Json json = {{"action", to_string(answer.action)}};
  if (!answer.request_id.empty()) json["requestId"] = answer.request_id;
  if (!answer.subscription_id.empty()) json["subscriptionId"] = answer.subscription_id;
  if (answer.at_ms) json["ts"] = format_viss_time(*answer.at_ms);
  if (answer.error) {
    json["error"] = {{"number", answer.error->number},
                     {"reason", answer.error->reason},
                     {"message", answer.error->message}};
  } else if (!answer.points.empty() || answer.action == VissAction::kSubscription) {
    json["data"] = data_json(answer.points);
  }
  if (!answer.metadata.empty()) json["metadata"] = answer.metadata;
  return wire(json);
}

VissAnswer viss_answer_to(std::string_view text) {
  VissAnswer answer;
  const auto json = parse_object(text);
  if (!json) return answer;
  answer.request_id = optional_text(*json, "requestId").value_or("");
  const auto action = value_of(kActions, optional_text(*json, "action").value_or(""));
  if (action && *action != VissAction::kSubscription) answer.action = *action;
  return answer;
}

Result<VissAnswer> read_viss_answer(std::string_view text) {
  const Json json = TRY(manifest::parse_with_numbers_as_text(
      as_bytes(text), {.bytes_max = kWebSocketMessageBytesMax}));
  VissAnswer answer;
  const std::string action = TRY(manifest::text_field(json, "action"));
  answer.action = TRY(value_of(kActions, action));
  answer.request_id = TRY(optional_text(json, "requestId"));
  answer.subscription_id = TRY(optional_text(json, "subscriptionId"));
  answer.at_ms = time_of(json);
  if (const Json* error = manifest::find_field(json, "error")) answer.error = read_error(*error);
  if (const Json* data = manifest::find_field(json, "data")) TRY_VOID(read_data(*data, answer));
  return answer;
}

std::optional<double> parse_viss_number(std::string_view text) {
  double value = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && at == text.data() + text.size();
  return is_whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

Result<std::int64_t> parse_viss_time(std::string_view text) {
  std::int64_t milliseconds = 0;
  std::string whole(text);
  const std::size_t point = text.find('.');
  if (point != std::string_view::npos) {
    const std::string_view fraction = text.substr(point + 1);
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    const bool shaped = fraction.size() >= 2 && fraction.size() <= kFractionMax &&
                        fraction.back() == 'Z' &&
                        std::all_of(fraction.begin(), fraction.end() - 1, is_digit);
    if (!shaped) return fail(ErrorCode::kBadFormat, "VISS: no time: '{}'", text.substr(0, 40));
    for (std::size_t i = 0; i < 3; ++i)
      milliseconds = 10 * milliseconds + (i + 1 < fraction.size() ? fraction[i] - '0' : 0);
    whole = std::string(text.substr(0, point)) + "Z";
  }
  return TRY(parse_utc(whole)) * 1000 + milliseconds;
}

std::string format_viss_time(std::int64_t at_ms) {
  const std::int64_t milliseconds = (at_ms % 1000 + 1000) % 1000;
  std::string text = format_utc((at_ms - milliseconds) / 1000);
  text.pop_back();
  return fmt::format("{}.{:03}Z", text, milliseconds);
}

}  // namespace layby::agent
