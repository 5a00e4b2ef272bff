#include "agent/policy.h"

#include "base/assert.h"

namespace layby::agent {
namespace {

Why why_of(Doubt doubt) {
  switch (doubt) {
    case Doubt::kMissing: return Why::kMissing;
    case Doubt::kStale: return Why::kStale;
    case Doubt::kImplausible: return Why::kImplausible;
  }
  LAYBY_ASSERT(false);
}

struct Question {
  const Facts& facts;
  const Requirements& requirements;
  std::int64_t now_ms;
};
using Answer = std::optional<Why>;  // empty: fulfilled

Answer must_be(const Reading<bool>& reading, bool wanted) {
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  if (std::get<bool>(reading) != wanted) return Why::kNotFulfilled;
  return std::nullopt;
}

Answer gear(const Question& q) {
  const auto reading = q.facts.integer(vss::kGear, q.now_ms);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  if (std::get<std::int64_t>(reading) != kGearPark) return Why::kNotFulfilled;
  // In P and moving: one of the two is wrong.
  const auto speed = q.facts.thousandths(vss::kSpeed, q.now_ms);
  if (const auto* value = std::get_if<std::int64_t>(&speed); value && *value != 0)
    return Why::kImplausible;
  return std::nullopt;
}

Answer parking_brake(const Question& q) {
  return must_be(q.facts.boolean(vss::kParkingBrake, q.now_ms), true);
}

Answer power(const Question& q) {
  const auto reading = q.facts.text(vss::kPower, q.now_ms);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  const std::string& value = std::get<std::string>(reading);
  if (value == "OFF" || value == "LOCK") return std::nullopt;
  if (value == "ACC" || value == "ON" || value == "START") return Why::kNotFulfilled;
  return Why::kImplausible;
}

Answer driver(const Question& q) {
  return must_be(q.facts.boolean(vss::kDriver, q.now_ms), false);
}

Answer doors_closed(const Question& q) {
  const auto reading = doors(q.facts, q.now_ms);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  if (std::get<DoorState>(reading) == DoorState::kOpen) return Why::kNotFulfilled;
  return std::nullopt;
}

Answer doors_locked(const Question& q) {
  const auto reading = doors(q.facts, q.now_ms);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  if (std::get<DoorState>(reading) != DoorState::kClosedAndLocked) return Why::kNotFulfilled;
  return std::nullopt;
}

Answer cable(const Question& q) {
  return must_be(q.facts.boolean(vss::kCable, q.now_ms), false);
}

Answer traction_battery(const Question& q) {
  const auto reading = q.facts.thousandths(vss::kTractionBattery, q.now_ms);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  const std::int64_t value = std::get<std::int64_t>(reading);
  if (value < 0 || value > 100'000) return Why::kImplausible;
  if (value < std::int64_t{q.requirements.battery_percent_min} * 1000) return Why::kNotFulfilled;
  return std::nullopt;
}

Answer low_voltage_battery(const Question& q) {
  const auto reading = q.facts.thousandths(vss::kLowVoltageBattery, q.now_ms);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  const std::int64_t value = std::get<std::int64_t>(reading);
  if (value < 0 || value > kLowVoltageMillivoltsMax) return Why::kImplausible;
  if (value < kLowVoltageMillivoltsMin) return Why::kNotFulfilled;
  return std::nullopt;
}

// The table of P4.1.
struct Row {
  Condition condition;
  Answer (*check)(const Question&);
};
constexpr Row kTable[] = {
    {Condition::kGear, gear},
    {Condition::kParkingBrake, parking_brake},
    {Condition::kPower, power},
    {Condition::kDriver, driver},
    {Condition::kDoorsClosed, doors_closed},
    {Condition::kDoorsLocked, doors_locked},
    {Condition::kChargingCable, cable},
    {Condition::kTractionBattery, traction_battery},
    {Condition::kLowVoltageBattery, low_voltage_battery},
};
static_assert(std::size(kTable) + 1 == kConditions.size(), "all but the owner's time stand here");

}  // namespace

std::string_view to_string(Condition condition) {
  switch (condition) {
    case Condition::kGear: return "gear";
    case Condition::kParkingBrake: return "parking-brake";
    case Condition::kPower: return "power";
    case Condition::kDriver: return "driver";
    case Condition::kDoorsClosed: return "doors-closed";
    case Condition::kDoorsLocked: return "doors-locked";
    case Condition::kChargingCable: return "charging-cable";
    case Condition::kTractionBattery: return "traction-battery";
    case Condition::kLowVoltageBattery: return "low-voltage-battery";
    case Condition::kOwnerTime: return "owner-time";
  }
  LAYBY_ASSERT(false);
}

bool is_of_standing(Condition condition) {
  switch (condition) {
    case Condition::kGear:
    case Condition::kParkingBrake:
    case Condition::kPower:
    case Condition::kDriver: return true;
    case Condition::kDoorsClosed:
    case Condition::kDoorsLocked:
    case Condition::kChargingCable:
    case Condition::kTractionBattery:
    case Condition::kLowVoltageBattery:
    case Condition::kOwnerTime: return false;
  }
  LAYBY_ASSERT(false);
}

std::string_view to_string(Why why) {
  switch (why) {
    case Why::kNotFulfilled: return "not-fulfilled";
    case Why::kMissing: return "missing";
    case Why::kStale: return "stale";
    case Why::kImplausible: return "implausible";
  }
  LAYBY_ASSERT(false);
}

Verdict evaluate(const Facts& facts, const Requirements& requirements,
                 std::optional<UnixSeconds> owner_time, std::int64_t now_ms) {
  Verdict verdict;
  for (const Row& row : kTable)
    if (const Answer why = row.check({facts, requirements, now_ms}))
      verdict.reasons.push_back({row.condition, *why});
  const bool too_early = owner_time && *owner_time * 1000 > now_ms;
  if (verdict.reasons.empty() && !too_early) {
    verdict.answer = Verdict::Answer::kYes;
    return verdict;
  }
  verdict.answer = verdict.reasons.empty() ? Verdict::Answer::kAskAgain : Verdict::Answer::kNo;
  if (too_early) {
    verdict.reasons.push_back({Condition::kOwnerTime, Why::kNotFulfilled});
    verdict.ask_again_at = *owner_time;
  }
  return verdict;
}

}  // namespace layby::agent
