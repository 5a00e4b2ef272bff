#include "agent/conditions.h"

#include <algorithm>

#include "base/assert.h"

namespace layby::agent {
namespace {

using manifest::Truth;

using Answer = std::optional<Why>;  // empty: fulfilled

Answer must_be(const Reading<bool>& reading, bool wanted) {
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  if (std::get<bool>(reading) != wanted) return Why::kNotFulfilled;
  return std::nullopt;
}

Answer gear(const ConditionRow& row, const Facts& facts, std::int64_t now_ms) {
  const auto reading = facts.integer(row.signal, now_ms, row.age_ms_max);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  const std::int64_t value = std::get<std::int64_t>(reading);
  if (!is_plausible_gear(value)) return Why::kImplausible;
  if (value != kGearPark) return Why::kNotFulfilled;
  // In P and moving: one of the two is wrong. Not every car says its speed; one that does must say
  // it now, and so that it can be read.
  if (!facts.has_or_had(vss::kSpeed)) return std::nullopt;
  const auto speed = facts.thousandths(vss::kSpeed, now_ms, row.age_ms_max);
  if (const Doubt* doubt = std::get_if<Doubt>(&speed)) return why_of(*doubt);
  if (std::get<std::int64_t>(speed) != 0) return Why::kImplausible;
  return std::nullopt;
}

Answer power(const ConditionRow& row, const Facts& facts, std::int64_t now_ms) {
  const auto reading = facts.text(row.signal, now_ms, row.age_ms_max);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  const std::string& value = std::get<std::string>(reading);
  if (value == "OFF" || value == "LOCK") return std::nullopt;
  if (value == "ACC" || value == "ON" || value == "START") return Why::kNotFulfilled;
  return Why::kImplausible;
}

Answer all_doors(const ConditionRow& row, const Facts& facts, std::int64_t now_ms) {
  const auto reading = doors(facts, now_ms);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  const DoorState state = std::get<DoorState>(reading);
  const bool holds = row.must == Must::kBeClosed ? state != DoorState::kOpen
                                                 : state == DoorState::kClosedAndLocked;
  if (!holds) return Why::kNotFulfilled;
  return std::nullopt;
}

Answer reach(const ConditionRow& row, const Facts& facts, std::int64_t threshold, Latch latch,
             std::int64_t now_ms) {
  const auto reading = facts.thousandths(row.signal, now_ms, row.age_ms_max);
  if (const Doubt* doubt = std::get_if<Doubt>(&reading)) return why_of(*doubt);
  const std::int64_t value = std::get<std::int64_t>(reading);
  if (value < row.plausible_min || value > row.plausible_max) return Why::kImplausible;
  if (value < threshold - (latch.holds(row.condition) ? row.band : 0)) return Why::kNotFulfilled;
  return std::nullopt;
}

// ---- the package's own --------------------------------------------------------------------------

// A test on a signal, and what stood in the way of the first one that could not be read.
class PackageTests {
 public:
  PackageTests(const Facts& facts, std::int64_t now_ms) : facts_(facts), now_ms_(now_ms) {}

  Truth ask(const manifest::SignalTest& test) {
    const auto row =
        std::find_if(kConditionTable.begin(), kConditionTable.end(),
                     [&](const ConditionRow& known) { return known.signal == test.signal; });
    const bool is_known = row != kConditionTable.end();
    const std::int64_t age_ms_max = is_known ? row->age_ms_max : kSignalAgeMsMax;
    if (const bool* wanted = std::get_if<bool>(&test.value))
      return compare(facts_.boolean(test.signal, now_ms_, age_ms_max), test.relation, *wanted);
    if (const auto* wanted = std::get_if<std::string>(&test.value))
      return compare(facts_.text(test.signal, now_ms_, age_ms_max), test.relation, *wanted);
    const auto reading = facts_.thousandths(test.signal, now_ms_, age_ms_max);
    const auto* value = std::get_if<std::int64_t>(&reading);
    const bool has_range = is_known && row->plausible_min < row->plausible_max;
    if (value && has_range && (*value < row->plausible_min || *value > row->plausible_max))
      return doubt(Why::kImplausible);
    return compare(reading, test.relation, std::get<std::int64_t>(test.value));
  }

  Why why_unknown() const { return why_.value_or(Why::kMissing); }

 private:
  Truth doubt(Why why) {
    if (!why_) why_ = why;
    return Truth::kUnknown;
  }

  template <typename T>
  Truth compare(const Reading<T>& reading, manifest::Relation relation, const T& wanted) {
    if (const Doubt* why = std::get_if<Doubt>(&reading)) return doubt(why_of(*why));
    const T& value = std::get<T>(reading);
    const auto truth = [](bool holds) { return holds ? Truth::kYes : Truth::kNo; };
    switch (relation) {
      case manifest::Relation::kEqual: return truth(value == wanted);
      case manifest::Relation::kNotEqual: return truth(value != wanted);
      case manifest::Relation::kLess: return truth(value < wanted);
      case manifest::Relation::kAtMost: return truth(value <= wanted);
      case manifest::Relation::kGreater: return truth(value > wanted);
      case manifest::Relation::kAtLeast: return truth(value >= wanted);
    }
    LAYBY_ASSERT(false);
  }

  const Facts& facts_;
  const std::int64_t now_ms_;
  std::optional<Why> why_;
};

constexpr bool table_is_in_order() {
  for (std::size_t i = 0; i < kConditionTable.size(); ++i)
    if (kConditionTable[i].condition != kConditions[i]) return false;
  return kConditionTable.size() + 2 == kConditions.size();
}
static_assert(table_is_in_order(), "all but the owner's time and the package's own stand there");

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
    case Condition::kPackage: return "package-condition";
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
    case Condition::kOwnerTime:
    case Condition::kPackage: return false;
  }
  LAYBY_ASSERT(false);
}

bool is_plausible_gear(std::int64_t value) {
  constexpr ConditionRow row = kConditionTable[static_cast<std::size_t>(Condition::kGear)];
  return value >= row.plausible_min / 1000 && value <= row.plausible_max / 1000;
}

Why why_of(Doubt doubt) {
  switch (doubt) {
    case Doubt::kMissing: return Why::kMissing;
    case Doubt::kStale: return Why::kStale;
    case Doubt::kImplausible: return Why::kImplausible;
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

std::optional<Why> check(const ConditionRow& row, const Facts& facts,
                         const Requirements& requirements, Latch latch, std::int64_t now_ms) {
  switch (row.must) {
    case Must::kBePark: return gear(row, facts, now_ms);
    case Must::kBeTrue: return must_be(facts.boolean(row.signal, now_ms, row.age_ms_max), true);
    case Must::kBeFalse: return must_be(facts.boolean(row.signal, now_ms, row.age_ms_max), false);
    case Must::kHaveEnded: return power(row, facts, now_ms);
    case Must::kBeClosed:
    case Must::kBeLocked: return all_doors(row, facts, now_ms);
    case Must::kReachCharge:
      return reach(row, facts, std::int64_t{requirements.battery_percent_min} * 1000, latch,
                   now_ms);
    case Must::kReachVoltage:
      return reach(row, facts, requirements.low_voltage_millivolts_min, latch, now_ms);
  }
  LAYBY_ASSERT(false);
}

std::optional<Why> check(const PackageDemand& demand, const Facts& facts, std::int64_t now_ms) {
  PackageTests tests(facts, now_ms);
  const Truth truth =
      demand.expression.evaluate([&](const manifest::SignalTest& test) { return tests.ask(test); });
  switch (truth) {
    case Truth::kYes: return std::nullopt;
    case Truth::kNo: return Why::kNotFulfilled;
    case Truth::kUnknown: return tests.why_unknown();
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::agent
