#include "agent/network.h"

#include <algorithm>

namespace layby::agent {
namespace {

// Without regard to age: a bearer is what it was until the car says otherwise.
std::optional<std::string> said(const Facts& facts, std::string_view name) {
  const auto found = facts.signals().find(std::string(name));
  if (found == facts.signals().end() || found->second.value.empty()) return std::nullopt;
  return found->second.value;
}

// A value that is neither is taken for the one that costs less.
bool is_true(const Facts& facts, std::string_view name) {
  return said(facts, name).value_or("false") != "false";
}

manifest::NetworkNeed strictest(const OrderRecord& order) {
  auto need = manifest::NetworkNeed::kAny;
  for (const ImageProgress& image : order.images) need = std::max(need, image.network);
  return need;
}

bool has_map(const OrderRecord& order) {
  return std::any_of(order.images.begin(), order.images.end(), [](const ImageProgress& image) {
    return image.slot.kind() == manifest::ImageKind::kMap;
  });
}

}  // namespace

Connection connection(const Facts& facts) {
  Connection out;
  out.is_private = is_private(facts);
  const std::string bearer = said(facts, vss::kBearer).value_or("wifi");
  out.is_there = bearer != "none";
  out.is_metered = out.is_there && bearer != "wifi";
  out.is_roaming = out.is_metered && is_true(facts, vss::kRoaming);
  // The call is the car's own: over a phone's hotspot the generation is not ours to see.
  out.is_in_call = out.is_metered && bearer != "hotspot" &&
                   said(facts, vss::kRadioGeneration) == "2G" && is_true(facts, vss::kInCall);
  return out;
}

std::optional<RoamingUse> roaming_use_from(std::string_view name) {
  if (name == "nothing") return RoamingUse::kNothing;
  if (name == "news") return RoamingUse::kNews;
  if (name == "payloads") return RoamingUse::kPayloads;
  return std::nullopt;
}

std::optional<Wait> bar_to_news(const Connection& connection, const NetworkPolicy& policy) {
  if (connection.is_private) return Wait::kPrivateMode;
  if (!connection.is_there) return Wait::kConnection;
  if (connection.is_in_call) return Wait::kCall;
  if (connection.is_roaming && policy.roaming == RoamingUse::kNothing) return Wait::kRoaming;
  return std::nullopt;
}

std::optional<Bar> bar_to_payload(const Connection& connection, const NetworkPolicy& policy,
                                  const OrderRecord& order, UnixSeconds now,
                                  std::uint64_t budget_left) {
  if (const auto wait = bar_to_news(connection, policy)) return Bar{*wait};
  const manifest::NetworkNeed need = strictest(order);
  const bool may_roam =
      policy.roaming == RoamingUse::kPayloads && need == manifest::NetworkNeed::kAny;
  if (connection.is_metered && need == manifest::NetworkNeed::kUnmetered) return Bar{Wait::kWifi};
  if (connection.is_roaming && !may_roam) return Bar{Wait::kRoaming};
  const UnixSeconds wifi_until = order.offered_at + policy.map_wifi_wait_seconds;
  if (connection.is_metered && has_map(order) && now < wifi_until)
    return Bar{Wait::kWifi, wifi_until};
  if (connection.is_metered && budget_left == 0) return Bar{Wait::kDataBudget};
  return std::nullopt;
}

}  // namespace layby::agent
