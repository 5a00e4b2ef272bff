// Messages of VISS version 2 (COVESA Vehicle Information Service Specification), as they travel
// over a WebSocket. Pure: texts in, values out, for both ends.
//
// By VISSv2 TRANSPORT, "Secure WebSocket" (messages) and "Status Codes" (errors), and VISSv2 CORE,
// "Filter Request", "Multiple Signals Request" and "Timestamps". Values are texts there; booleans
// and numbers, which some servers and clients send, are read too.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace layby::agent {

// TRANSPORT, "Initialization".
constexpr std::string_view kVissSubprotocol = "VISSv2";

enum class VissAction : std::uint8_t { kGet, kSet, kSubscribe, kUnsubscribe, kSubscription };
std::string_view to_string(VissAction action);

// CORE, "Range Filter Operation" and "Change Filter Operation".
enum class VissRelation : std::uint8_t { kEqual, kNotEqual, kGreater, kAtLeast, kLess, kAtMost };
std::string_view to_string(VissRelation relation);  // "eq", "ne", "gt", "gte", "lt", "lte"

struct VissTimebased {
  std::uint32_t period_ms = 0;
  bool operator==(const VissTimebased&) const = default;
};
struct VissChange {
  VissRelation relation = VissRelation::kNotEqual;  // of the new value less the old one...
  std::string difference = "0";                     // ...to this
  bool operator==(const VissChange&) const = default;
};
struct VissBoundary {
  VissRelation relation = VissRelation::kEqual;
  std::string boundary;
  bool operator==(const VissBoundary&) const = default;
};
struct VissRange {
  enum class Combine : std::uint8_t { kAnd, kOr };
  VissBoundary first;
  std::optional<VissBoundary> second{};
  Combine combine = Combine::kAnd;
  bool operator==(const VissRange&) const = default;
};
struct VissCurvelog {
  std::string error_max;  // a decimal number
  std::uint32_t points = 0;
  bool operator==(const VissCurvelog&) const = default;
};
// These two belong to get; the others to subscribe.
struct VissHistory {
  std::string period;  // "P2DT12H"
  bool operator==(const VissHistory&) const = default;
};
struct VissMetadata {
  enum class Kind : std::uint8_t { kStatic, kDynamic };
  Kind kind = Kind::kStatic;
  std::vector<std::string> names{};  // empty: all that there is
  bool operator==(const VissMetadata&) const = default;
};
using VissFilter =
    std::variant<VissTimebased, VissChange, VissRange, VissCurvelog, VissHistory, VissMetadata>;

struct VissRequest {
  VissAction action = VissAction::kGet;
  std::string request_id;
  std::string path{};                  // of get, set, subscribe
  std::vector<std::string> paths{};    // the paths filter: relative to `path`, `*` for one name
  std::optional<VissFilter> filter{};  // of get and subscribe
  std::string value{};                 // of set
  std::string subscription_id{};       // of unsubscribe
  std::string authorization{};         // an access token
  bool operator==(const VissRequest&) const = default;
};
std::string encode(const VissRequest& request);
// For a server. kBadFormat and kBadJson: then `viss_answer_to` is what the error goes into.
Result<VissRequest> read_viss_request(std::string_view text);

struct VissPoint {
  std::string path;
  std::string value;
  std::int64_t at_ms = 0;  // since 1970, by the server's clock
  bool operator==(const VissPoint&) const = default;
};

struct VissError {
  int number = 0;
  std::string reason{}, message{};
  bool operator==(const VissError&) const = default;
  std::string text() const;  // "404 invalid_path: The specified data path does not exist."
};

// An answer or an event.
struct VissAnswer {
  VissAction action = VissAction::kGet;
  std::string request_id{};  // empty in events
  std::string subscription_id{};
  std::optional<std::int64_t> at_ms{};
  std::vector<VissPoint> points{};  // of one path in the order of time
  // What a server is capable of, by key. Written only: the agent does not ask for it.
  std::map<std::string, std::vector<std::string>> metadata{};
  std::optional<VissError> error{};
  bool operator==(const VissAnswer&) const = default;
};
std::string encode(const VissAnswer& answer);
// The beginning of an answer to any text: of its action (else of `get`) and its requestId, if any.
VissAnswer viss_answer_to(std::string_view text);
// kBadJson and kBadFormat: who sends such a thing does not speak VISS. A point of which the value
// is no text (null, an array, a structure) or the time is none is left out, as one signal that is
// not ready says nothing about the others; a time of the message that is none, too. An error
// without a number has number 0. A path's `/` are `.` here.
Result<VissAnswer> read_viss_answer(std::string_view text);

// A decimal number; no infinity.
std::optional<double> parse_viss_number(std::string_view text);

// CORE, "Timestamps": YYYY-MM-DDTHH:MM:SS[.s…]Z, in milliseconds since 1970.
Result<std::int64_t> parse_viss_time(std::string_view text);
std::string format_viss_time(std::int64_t at_ms);

}  // namespace layby::agent
