#include "samples/car/viss_session.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/assert.h"

namespace layby::samples {
namespace {

using agent::VissAction;
using agent::VissAnswer;
using agent::VissError;
using agent::VissPoint;
using agent::VissRelation;
using agent::VissRequest;

constexpr std::size_t kSubscriptionsMax = 512;
constexpr std::int64_t kCurvePeriodMs = 200;  // between two samples of a curve

// TRANSPORT, "Status Codes"
const VissError kBadRequest{400, "bad_request",
                            "The server is unable to fulfil the client request because the request "
                            "is malformed."};
const VissError kInvalidPath{404, "invalid_path", "The specified data path does not exist."};
const VissError kNoDuration{400, "invalid_duration", "Time duration is invalid."};
const VissError kNoData{404, "unavailable_data", "The requested data was not found."};
const VissError kNotAcceptable{
    406, "not_acceptable",
    "The server is unable to generate content that is acceptable to the client"};
const VissError kNoSubscription{404, "invalid_subscriptionId",
                                "The specified subscription was not found."};
const VissError kTooMany{429, "too_many_requests",
                         "The client has sent the server too many requests in a given amount of "
                         "time."};

// `pattern` names the leaf or a branch above it; a `*` in it stands for one name.
bool names(std::string_view pattern, std::string_view path) {
  while (!pattern.empty()) {
    const std::size_t end = std::min(pattern.find('.'), pattern.size());
    const std::size_t path_end = std::min(path.find('.'), path.size());
    const std::string_view segment = pattern.substr(0, end);
    if (path.empty() || (segment != "*" && segment != path.substr(0, path_end))) return false;
    pattern.remove_prefix(std::min(end + 1, pattern.size()));
    path.remove_prefix(std::min(path_end + 1, path.size()));
  }
  return true;
}

std::vector<std::string> patterns_of(const VissRequest& request) {
  if (request.paths.empty()) return {request.path};
  std::vector<std::string> patterns;
  for (const std::string& path : request.paths) {
    patterns.push_back(request.path + "." + path);
    std::replace(patterns.back().begin(), patterns.back().end(), '/', '.');
  }
  return patterns;
}

// What a request names, each leaf once.
std::vector<VissPoint> points_of(const VissRequest& request, const Leaves& leaves) {
  const auto patterns = patterns_of(request);
  std::vector<VissPoint> points;
  for (const auto& [path, leaf] : leaves) {
    const auto is_named = [&](const std::string& pattern) { return names(pattern, path); };
    if (std::ranges::any_of(patterns, is_named)) points.push_back({path, leaf.value, leaf.at_ms});
  }
  return points;
}

// CORE, "Paths Filter Operation": each pattern must name a node.
bool names_something(const VissRequest& request, const Leaves& leaves) {
  return std::ranges::all_of(patterns_of(request), [&](const std::string& pattern) {
    return std::ranges::any_of(leaves,
                               [&](const auto& leaf) { return names(pattern, leaf.first); });
  });
}

std::optional<double> number_of(const std::string& text) {
  if (text == "true") return 1;
  if (text == "false") return 0;
  return agent::parse_viss_number(text);
}

bool holds(double left, VissRelation relation, double right) {
  switch (relation) {
    case VissRelation::kEqual: return left == right;
    case VissRelation::kNotEqual: return left != right;
    case VissRelation::kGreater: return left > right;
    case VissRelation::kAtLeast: return left >= right;
    case VissRelation::kLess: return left < right;
    case VissRelation::kAtMost: return left <= right;
  }
  LAYBY_ASSERT(false);
}

bool is_triggered(const agent::VissChange& change, const std::string& last,
                  const std::string& now) {
  const auto before = number_of(last), after = number_of(now),
             difference = number_of(change.difference);
  if (before && after && difference) return holds(*after - *before, change.relation, *difference);
  return (last != now) == (change.relation == VissRelation::kNotEqual);  // texts
}

bool is_within(const agent::VissBoundary& boundary, const std::string& value) {
  const auto left = number_of(value), right = number_of(boundary.boundary);
  if (left && right) return holds(*left, boundary.relation, *right);
  return (value == boundary.boundary) == (boundary.relation == VissRelation::kEqual);
}

bool is_within(const agent::VissRange& range, const std::string& value) {
  const bool first = is_within(range.first, value);
  if (!range.second) return first;
  const bool second = is_within(*range.second, value);
  return range.combine == agent::VissRange::Combine::kAnd ? first && second : first || second;
}

// CORE, "History Filter Operation": days, hours, minutes and seconds, in this order, one at least.
bool is_duration(std::string_view text) {
  const auto take = [&text](std::string_view units, std::size_t digits_max) {
    std::size_t found = 0;
    for (const char unit : units) {
      const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
      if (digits == 0 || digits > digits_max || !text.substr(digits).starts_with(unit)) continue;
      text.remove_prefix(digits + 1);
      ++found;
    }
    return found;
  };
  if (!text.starts_with('P')) return false;
  text.remove_prefix(1);
  const bool has_days = take("D", 3) > 0;
  if (!text.starts_with('T')) return has_days && text.empty();
  text.remove_prefix(1);
  return take("HMS", 9) > 0 && text.empty();
}

// CORE, "Server Capabilities". Of the transports, all of which are over TLS, it has none.
const std::map<std::string, std::vector<std::string>> kCapabilities = {
    {"filter", {"timebased", "change", "paths", "range", "curvelog", "dynamic_metadata"}},
    {"access_ctrl", {}},
    {"transport_protocol", {}}};

void thin(const std::vector<VissPoint>& curve, std::size_t from, std::size_t to, double error_max,
          std::vector<bool>& stays) {
  const auto y = [&](std::size_t i) { return number_of(curve[i].value).value_or(0); };
  const auto x = [&](std::size_t i) { return static_cast<double>(curve[i].at_ms); };
  double worst = error_max;
  std::size_t at = from;
  for (std::size_t i = from + 1; i < to; ++i) {
    const double part = x(to) == x(from) ? 0 : (x(i) - x(from)) / (x(to) - x(from));
    const double off = std::abs(y(i) - (y(from) + part * (y(to) - y(from))));
    if (off > worst) {
      worst = off;
      at = i;
    }
  }
  if (at == from) return;
  stays[at] = true;
  thin(curve, from, at, error_max, stays);
  thin(curve, at, to, error_max, stays);
}

}  // namespace

std::vector<VissPoint> thin_out(const std::vector<VissPoint>& curve, double error_max) {
  if (curve.size() < 3) return curve;
  std::vector<bool> stays(curve.size(), false);
  stays.front() = stays.back() = true;
  thin(curve, 0, curve.size() - 1, error_max, stays);
  std::vector<VissPoint> out;
  for (std::size_t i = 0; i < curve.size(); ++i)
    if (stays[i]) out.push_back(curve[i]);
  return out;
}

VissAnswer VissSession::get(const VissRequest& request, const Leaves& leaves) {
  VissAnswer answer{.action = VissAction::kGet};
  const auto* metadata =
      request.filter ? std::get_if<agent::VissMetadata>(&*request.filter) : nullptr;
  if (metadata != nullptr && metadata->kind == agent::VissMetadata::Kind::kDynamic &&
      metadata->names == std::vector<std::string>{"server_capabilities"}) {
    if (request.path == "Vehicle" && request.paths.empty()) {
      answer.metadata = kCapabilities;
    } else {
      answer.error = kBadRequest;
    }
  } else if (!names_something(request, leaves)) {
    answer.error = kInvalidPath;
  } else if (metadata != nullptr) {
    answer.error = kNotAcceptable;
  } else if (request.filter) {
    const auto& history = std::get<agent::VissHistory>(*request.filter);
    answer.error = is_duration(history.period) ? kNoData : kNoDuration;
  } else {
    answer.points = points_of(request, leaves);
  }
  return answer;
}

VissAnswer VissSession::subscribe(const VissRequest& request, const Leaves& leaves,
                                  std::int64_t now_ms) {
  VissAnswer answer{.action = VissAction::kSubscribe};
  Subscription made{.request = request, .trigger = patterns_of(request).front(), .last = {}};
  const auto trigger = leaves.find(made.trigger);
  if (trigger != leaves.end()) made.last = trigger->second.value;
  // CORE, "Subscription Event Triggering": the first path decides, so it is a single signal.
  const bool needs_trigger =
      request.filter && !std::holds_alternative<agent::VissTimebased>(*request.filter);
  if ((needs_trigger && trigger == leaves.end()) || !names_something(request, leaves)) {
    answer.error = kInvalidPath;
    return answer;
  }
  if (subscriptions_.size() >= kSubscriptionsMax) {
    answer.error = kTooMany;
    return answer;
  }
  made.due_ms = now_ms;
  if (!request.filter) made.seen = leaves;
  answer.subscription_id = std::to_string(++last_id_);
  subscriptions_[answer.subscription_id] = std::move(made);
  return answer;
}

VissAnswer VissSession::respond(const VissRequest& request, const Leaves& leaves, const Setter& set,
                                std::int64_t now_ms) {
  VissAnswer answer{.action = request.action};
  switch (request.action) {
    case VissAction::kGet: return get(request, leaves);
    case VissAction::kSet: answer.error = set(request.path, request.value); return answer;
    case VissAction::kSubscribe: return subscribe(request, leaves, now_ms);
    case VissAction::kUnsubscribe:
      answer.subscription_id = request.subscription_id;
      if (subscriptions_.erase(request.subscription_id) == 0) answer.error = kNoSubscription;
      return answer;
    case VissAction::kSubscription: break;
  }
  LAYBY_ASSERT(false);  // no request
}

std::string VissSession::answer(std::string_view text, const Leaves& leaves, const Setter& set,
                                std::int64_t now_ms) {
  VissAnswer answer = agent::viss_answer_to(text);
  if (const auto request = agent::read_viss_request(text)) {
    answer = respond(*request, leaves, set, now_ms);
    answer.request_id = request->request_id;
  } else {
    answer.error = kBadRequest;
  }
  answer.at_ms = now_ms;
  return agent::encode(answer);
}

std::vector<VissPoint> VissSession::due_points(Subscription& subscription, const Leaves& leaves,
                                               std::int64_t now_ms) {
  if (!subscription.request.filter) {
    std::vector<VissPoint> points = points_of(subscription.request, leaves);
    std::erase_if(points, [&](const VissPoint& point) {
      const Leaf leaf{point.value, point.at_ms};
      return std::exchange(subscription.seen[point.path], leaf) == leaf;
    });
    return points;
  }
  const auto trigger = leaves.find(subscription.trigger);
  const std::string before = subscription.last;
  if (trigger != leaves.end()) subscription.last = trigger->second.value;
  const auto& filter = *subscription.request.filter;
  if (const auto* change = std::get_if<agent::VissChange>(&filter)) {
    if (trigger == leaves.end() || !is_triggered(*change, before, trigger->second.value)) return {};
    return points_of(subscription.request, leaves);
  }
  if (const auto* range = std::get_if<agent::VissRange>(&filter)) {
    const bool is_new = before != subscription.last || subscription.due_ms != 0;
    subscription.due_ms = 0;  // after the first look only what changes
    if (trigger == leaves.end() || !is_new || !is_within(*range, subscription.last)) return {};
    return points_of(subscription.request, leaves);
  }
  if (now_ms < subscription.due_ms) return {};
  if (const auto* timebased = std::get_if<agent::VissTimebased>(&filter)) {
    subscription.due_ms = now_ms + timebased->period_ms;
    return points_of(subscription.request, leaves);
  }
  const auto& curvelog = std::get<agent::VissCurvelog>(filter);
  subscription.due_ms = now_ms + kCurvePeriodMs;
  std::vector<VissPoint> full;
  for (VissPoint& point : points_of(subscription.request, leaves)) {
    auto& curve = subscription.curves[point.path];
    curve.push_back(std::move(point));
    if (curve.size() < curvelog.points) continue;
    for (VissPoint& kept : thin_out(curve, number_of(curvelog.error_max).value_or(0)))
      full.push_back(std::move(kept));
    curve.clear();
  }
  return full;
}

std::vector<std::string> VissSession::events(const Leaves& leaves, std::int64_t now_ms) {
  std::vector<std::string> texts;
  for (auto& [id, subscription] : subscriptions_) {
    VissAnswer event{.action = VissAction::kSubscription, .subscription_id = id, .at_ms = now_ms};
    event.points = due_points(subscription, leaves, now_ms);
    if (!event.points.empty()) texts.push_back(agent::encode(event));
  }
  return texts;
}

std::int64_t VissSession::next_due_ms() const {
  std::int64_t next = std::numeric_limits<std::int64_t>::max();
  for (const auto& [id, subscription] : subscriptions_) {
    const auto& filter = subscription.request.filter;
    if (filter && (std::holds_alternative<agent::VissTimebased>(*filter) ||
                   std::holds_alternative<agent::VissCurvelog>(*filter)))
      next = std::min(next, subscription.due_ms);
  }
  return next;
}

}  // namespace layby::samples
