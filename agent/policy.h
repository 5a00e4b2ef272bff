// Policy: may it start now? A pure function of facts that answers yes, no with every reason, or ask
// again at T (P4.1, P4.2). A signal that is missing, stale or implausible counts as not fulfilled.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/facts.h"

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
};
inline constexpr std::array kConditions = {
    Condition::kGear,          Condition::kParkingBrake,    Condition::kPower,
    Condition::kDriver,        Condition::kDoorsClosed,     Condition::kDoorsLocked,
    Condition::kChargingCable, Condition::kTractionBattery, Condition::kLowVoltageBattery,
    Condition::kOwnerTime,
};
std::string_view to_string(Condition condition);  // stable, for `status`
// It says that the car stands and nobody is about to drive it.
bool is_of_standing(Condition condition);

enum class Why : std::uint8_t { kNotFulfilled, kMissing, kStale, kImplausible };
std::string_view to_string(Why why);

struct Reason {
  Condition condition;
  Why why;
  bool operator==(const Reason&) const = default;
};

struct Verdict {
  enum class Answer { kYes, kNo, kAskAgain } answer = Answer::kNo;
  std::vector<Reason> reasons;   // every one that stands against it; empty for yes
  UnixSeconds ask_again_at = 0;  // for kAskAgain
};

// What an order asks for: the strictest of its images.
struct Requirements {
  int battery_percent_min = 0;
};

Verdict evaluate(const Facts& facts, const Requirements& requirements,
                 std::optional<UnixSeconds> owner_time, std::int64_t now_ms);

// The low-voltage battery at rest: below it is not healthy, above it is no 12 V system.
constexpr std::int64_t kLowVoltageMillivoltsMin = 12'000;
constexpr std::int64_t kLowVoltageMillivoltsMax = 16'000;

}  // namespace layby::agent
