#include "agent/facts.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "agent/doors.h"
#include "agent/viss_message.h"

namespace layby::agent {
namespace {

template <typename T>
bool parse_whole(std::string_view text, T& out) {
  const auto end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && at == end;
}

constexpr std::size_t kDecimalsMax = 60;  // no machine prints more of a number

// As machines print what is very small.
std::optional<std::int64_t> parse_with_exponent(std::string_view text) {
  double value = 0;
  if (!parse_whole(text, value) || !(std::abs(value) < 1e9)) return std::nullopt;
  return static_cast<std::int64_t>(value * 1000);
}

// Digits, of which three after the point count; no spaces.
std::optional<std::int64_t> parse_thousandths(std::string_view text) {
  if (text.find_first_of("eE") != std::string_view::npos) return parse_with_exponent(text);
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  std::string_view fraction;
  if (point != std::string_view::npos) fraction = text.substr(point + 1);
  if (whole.empty() || whole.size() > 9) return std::nullopt;
  if (point != std::string_view::npos && (fraction.empty() || fraction.size() > kDecimalsMax))
    return std::nullopt;
  std::int64_t value = 0;
  if (!parse_whole(whole, value)) return std::nullopt;
  std::int64_t parts = 0;
  for (std::size_t i = 0; i < fraction.size(); ++i) {
    if (fraction[i] < '0' || fraction[i] > '9') return std::nullopt;
    if (i < 3) parts = 10 * parts + (fraction[i] - '0');
  }
  for (std::size_t i = fraction.size(); i < 3; ++i) parts *= 10;
  return value * 1000 + (whole.front() == '-' ? -parts : parts);
}

template <typename T>
bool is_known(const Reading<T>& reading) {
  return std::holds_alternative<T>(reading);
}

}  // namespace

Reading<std::string> Facts::text(std::string_view name, std::int64_t now_ms,
                                 std::int64_t age_ms_max) const {
  const auto found = signals_.find(std::string(name));
  if (found == signals_.end()) return Doubt::kMissing;
  const std::int64_t age_ms = now_ms - found->second.at_ms;
  if (age_ms > age_ms_max) return Doubt::kStale;
  if (age_ms < -kSignalAheadMsMax) return Doubt::kImplausible;
  return found->second.value;
}

Reading<bool> Facts::boolean(std::string_view name, std::int64_t now_ms,
                             std::int64_t age_ms_max) const {
  const Reading<std::string> reading = text(name, now_ms, age_ms_max);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return *doubt;
  const std::string& value = std::get<std::string>(reading);
  if (value == "true") return true;
  if (value == "false") return false;
  return Doubt::kImplausible;
}

Reading<std::int64_t> Facts::integer(std::string_view name, std::int64_t now_ms,
                                     std::int64_t age_ms_max) const {
  const Reading<std::string> reading = text(name, now_ms, age_ms_max);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return *doubt;
  std::int64_t value = 0;
  if (!parse_whole(std::get<std::string>(reading), value)) return Doubt::kImplausible;
  return value;
}

Reading<std::int64_t> Facts::thousandths(std::string_view name, std::int64_t now_ms,
                                         std::int64_t age_ms_max) const {
  const Reading<std::string> reading = text(name, now_ms, age_ms_max);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return *doubt;
  const auto value = parse_thousandths(std::get<std::string>(reading));
  if (!value) return Doubt::kImplausible;
  return *value;
}

Reading<DoorState> doors(const Facts& facts, std::int64_t now_ms) {
  std::int64_t count = 4;
  const auto is_of_doors = [](const std::string& name) {
    return name == vss::kDoorCount || is_of_door(name);
  };
  if (std::ranges::any_of(facts.lost(), is_of_doors)) return Doubt::kMissing;
  if (facts.signals().contains(std::string(vss::kDoorCount))) {
    // An attribute of the car: it does not age.
    const auto said =
        facts.integer(vss::kDoorCount, now_ms, std::numeric_limits<std::int64_t>::max());
    if (const Doubt* doubt = std::get_if<Doubt>(&said)) return *doubt;
    count = std::get<std::int64_t>(said);
    if (count < 1 || count > 16) return Doubt::kImplausible;
  }
  std::set<std::string> names;
  for (const auto& [name, signal] : facts.signals())
    if (is_of_door(name)) names.insert(name.substr(0, name.rfind('.')));
  if (names.size() < static_cast<std::size_t>(count)) return Doubt::kMissing;
  DoorState worst = DoorState::kClosedAndLocked;
  for (const std::string& name : names) {
    const auto open = facts.boolean(name + ".IsOpen", now_ms);
    const auto locked = facts.boolean(name + ".IsLocked", now_ms);
    if (const Doubt* doubt = std::get_if<Doubt>(&open)) return *doubt;
    if (const Doubt* doubt = std::get_if<Doubt>(&locked)) return *doubt;
    if (std::get<bool>(open)) {
      worst = DoorState::kOpen;
    } else if (!std::get<bool>(locked) && worst == DoorState::kClosedAndLocked) {
      worst = DoorState::kClosedNotLocked;
    }
  }
  return worst;
}

bool has_changed(const Facts& before, const Facts& now, std::int64_t now_ms) {
  const auto is_same = [&](const auto& a, const auto& b) {
    const bool is_revived =
        a.second.at_ms != b.second.at_ms && now_ms - a.second.at_ms > kSignalAgeMsMax;
    return a.first == b.first && a.second.value == b.second.value && !is_revived;
  };
  return before.lost() != now.lost() ||
         !std::equal(before.signals().begin(), before.signals().end(), now.signals().begin(),
                     now.signals().end(), is_same);
}

bool is_left_and_locked(const Facts& facts, std::int64_t now_ms) {
  const auto driver = facts.boolean(vss::kDriver, now_ms);
  const auto door = doors(facts, now_ms);
  return is_known(driver) && !std::get<bool>(driver) && is_known(door) &&
         std::get<DoorState>(door) == DoorState::kClosedAndLocked;
}

bool is_entered(const Facts& facts, std::int64_t now_ms) {
  const auto driver = facts.boolean(vss::kDriver, now_ms);
  const auto door = doors(facts, now_ms);
  return (is_known(driver) && std::get<bool>(driver)) ||
         (is_known(door) && std::get<DoorState>(door) != DoorState::kClosedAndLocked);
}

std::optional<bool> is_powered_on(const Facts& facts, std::int64_t now_ms) {
  const auto power = facts.text(vss::kPower, now_ms);
  if (!is_known(power)) return std::nullopt;
  const std::string& value = std::get<std::string>(power);
  return value == "ON" || value == "START";
}

bool is_private(const Facts& facts) {
  const auto found = facts.signals().find(std::string(vss::kPrivateMode));
  return found != facts.signals().end() && found->second.value != "false";
}

std::optional<std::string> said_vin(const Facts& facts) {
  const auto found = facts.signals().find(std::string(vss::kVin));
  if (found == facts.signals().end() || found->second.value.empty()) return std::nullopt;
  return found->second.value;
}

std::optional<std::int64_t> utc_offset(const Facts& facts) {
  constexpr std::int64_t kMinutesMax = 14 * 60;
  const auto found = facts.signals().find(std::string(vss::kUtcOffset));
  std::int64_t minutes = 0;
  if (found == facts.signals().end() || !parse_whole(found->second.value, minutes) ||
      minutes < -kMinutesMax || minutes > kMinutesMax)
    return std::nullopt;
  return minutes * 60;
}

OwnerTime owner_time(const Facts& facts, std::optional<UnixSeconds> said_before) {
  const auto found = facts.signals().find(std::string(vss::kActivateAt));
  if (found == facts.signals().end()) {
    const bool is_lost = facts.lost().contains(std::string(vss::kActivateAt));
    if (is_lost && !said_before) return Doubt::kMissing;
    return said_before;
  }
  if (found->second.value.empty()) return std::optional<UnixSeconds>{};
  const auto at_ms = parse_viss_time(found->second.value);
  if (!at_ms) return Doubt::kImplausible;
  return std::optional<UnixSeconds>((*at_ms + 999) / 1000);  // not before it
}

std::optional<UnixSeconds> kept_owner_time(const Facts& facts,
                                           std::optional<UnixSeconds> previous) {
  const OwnerTime said = owner_time(facts, previous);
  const auto* known = std::get_if<std::optional<UnixSeconds>>(&said);
  if (known == nullptr) return previous;
  return *known ? std::max<UnixSeconds>(0, **known) : *known;
}

}  // namespace layby::agent
