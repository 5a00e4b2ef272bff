// The conditions under which something may be installed (P4.1): one table over the signals of the
// car, each with its age limit, the range in which it is plausible, and its hysteresis; and the
// package's own, in the language of manifest/condition_expression.h.
//
// A signal that is missing, stale or implausible counts as not fulfilled.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/facts.h"
#include "manifest/condition_expression.h"
#include "manifest/image_entry.h"

namespace layby::agent {

// In the order in which the driver is told of them.
enum class Condition : std::uint8_t {
  kGear,           // selector in P, and the car stands
  kParkingBrake,   // on
  kPower,          // drive readiness ended
  kDriver,         // out
  kDoorsClosed,    // all of them
  kDoorsLocked,    // all of them
  kChargingCable,  // unplugged
  kTractionBattery,
  kLowVoltageBattery,
  kOwnerTime,  // the owner set a later time
  kPackage,    // one of the package's own
};
inline constexpr std::array kConditions = {
    Condition::kGear,          Condition::kParkingBrake,    Condition::kPower,
    Condition::kDriver,        Condition::kDoorsClosed,     Condition::kDoorsLocked,
    Condition::kChargingCable, Condition::kTractionBattery, Condition::kLowVoltageBattery,
    Condition::kOwnerTime,     Condition::kPackage,
};
std::string_view to_string(Condition condition);  // stable, for `status`
// It says that the car stands and nobody is about to drive it.
bool is_of_standing(Condition condition);

enum class Why : std::uint8_t { kNotFulfilled, kMissing, kStale, kImplausible };
std::string_view to_string(Why why);
Why why_of(Doubt doubt);

// ---- what an order asks for ---------------------------------------------------------------------

// The low-voltage battery at rest: below it is not healthy, above it is no 12 V system.
constexpr std::int64_t kLowVoltageMillivoltsMin = 12'000;
constexpr std::int64_t kLowVoltageMillivoltsMax = 16'000;

struct PackageDemand {
  manifest::ConditionExpression expression;
  manifest::PackageCondition as_signed;  // with its texts
};

// Where several images are to be installed together, the strictest of them.
struct Requirements {
  int battery_percent_min = 0;
  std::int64_t low_voltage_millivolts_min = kLowVoltageMillivoltsMin;
  std::vector<PackageDemand> package{};
};

// ---- the table ----------------------------------------------------------------------------------

// What the signal must say.
enum class Must : std::uint8_t {
  kBePark,
  kBeTrue,
  kBeFalse,
  kHaveEnded,    // drive readiness
  kBeClosed,     // every door
  kBeLocked,     // every door
  kReachCharge,  // what the order asks for
  kReachVoltage,
};

struct ConditionRow {
  Condition condition;
  std::string_view signal;  // of doors, the beginning of all of them
  Must must;
  std::int64_t age_ms_max;     // older than this it says nothing about now
  std::int64_t plausible_min;  // of numbers, in thousandths: beyond these they are no measurement
  std::int64_t plausible_max;
  // Hysteresis, in thousandths: once it has held while an order was armed, it is lost only this far
  // below its threshold. A battery that wavers by a tenth then neither stops the order nor makes
  // the head unit flicker.
  std::int64_t band;
};

inline constexpr std::array<ConditionRow, 9> kConditionTable = {{
    {Condition::kGear, vss::kGear, Must::kBePark, 15'000, -126'000, 127'000, 0},
    {Condition::kParkingBrake, vss::kParkingBrake, Must::kBeTrue, 15'000, 0, 0, 0},
    {Condition::kPower, vss::kPower, Must::kHaveEnded, 15'000, 0, 0, 0},
    {Condition::kDriver, vss::kDriver, Must::kBeFalse, 15'000, 0, 0, 0},
    {Condition::kDoorsClosed, vss::kDoorPrefix, Must::kBeClosed, 15'000, 0, 0, 0},
    {Condition::kDoorsLocked, vss::kDoorPrefix, Must::kBeLocked, 15'000, 0, 0, 0},
    {Condition::kChargingCable, vss::kCable, Must::kBeFalse, 15'000, 0, 0, 0},
    {Condition::kTractionBattery, vss::kTractionBattery, Must::kReachCharge, 60'000, 0, 100'000,
     2'000},
    {Condition::kLowVoltageBattery, vss::kLowVoltageBattery, Must::kReachVoltage, 60'000, 0,
     kLowVoltageMillivoltsMax, 200},
}};

// Conditions that have held since the order was armed. Not kept over a restart: then each must
// reach its threshold again.
class Latch {
 public:
  bool holds(Condition condition) const { return (bits_ & bit(condition)) != 0; }
  void set(Condition condition) { bits_ |= bit(condition); }
  void clear(Condition condition) { bits_ &= ~bit(condition); }
  bool operator==(const Latch&) const = default;

 private:
  static std::uint32_t bit(Condition c) { return 1u << static_cast<unsigned>(c); }
  std::uint32_t bits_ = 0;
};

// One that the signal can have; what is none counts as missing.
bool is_plausible_gear(std::int64_t value);

// Empty: it holds.
std::optional<Why> check(const ConditionRow& row, const Facts& facts,
                         const Requirements& requirements, Latch latch, std::int64_t now_ms);

// Signals that stand in the table are read with its limits, others with those of facts.h.
std::optional<Why> check(const PackageDemand& demand, const Facts& facts, std::int64_t now_ms);

}  // namespace layby::agent
