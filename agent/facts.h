// What the car says about itself: signals under the names of the COVESA Vehicle Signal
// Specification (VSS 4), with time stamps. What VSS has no name for stands under `Vehicle.Layby.`,
// a VSS overlay (docs/embedding.md lists it).
//
// Values travel as text, as they do in VISS v2; they are understood here, once, and a value that
// makes no sense is no value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>

#include "base/clock.h"

namespace layby::agent {

namespace vss {
constexpr std::string_view kVin = "Vehicle.VehicleIdentification.VIN";
constexpr std::string_view kSpeed = "Vehicle.Speed";
constexpr std::string_view kGear = "Vehicle.Powertrain.Transmission.SelectedGear";  // 126: P
constexpr std::string_view kParkingBrake = "Vehicle.Chassis.ParkingBrake.IsEngaged";
constexpr std::string_view kPower = "Vehicle.LowVoltageSystemState";  // OFF and LOCK: ended
constexpr std::string_view kDriver = "Vehicle.Cabin.Seat.Row1.DriverSide.IsOccupied";
constexpr std::string_view kDoorCount = "Vehicle.Cabin.DoorCount";
constexpr std::string_view kDoorPrefix = "Vehicle.Cabin.Door.";  // + Row1.DriverSide + .IsOpen
constexpr std::string_view kCable =
    "Vehicle.Powertrain.TractionBattery.Charging.IsChargingCableConnected";
constexpr std::string_view kTractionBattery =
    "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed";  // percent
constexpr std::string_view kLowVoltageBattery = "Vehicle.LowVoltageBattery.CurrentVoltage";
// wifi, sim (built in), inserted-sim, hotspot, none
constexpr std::string_view kBearer = "Vehicle.Layby.Bearer";
constexpr std::string_view kRadioGeneration = "Vehicle.Layby.RadioGeneration";  // 2G, 3G, 4G, 5G
constexpr std::string_view kInCall = "Vehicle.Layby.IsInCall";
constexpr std::string_view kRegion = "Vehicle.Layby.Region";  // map region the car is in: "DE"
constexpr std::string_view kRoaming = "Vehicle.Layby.IsRoaming";
constexpr std::string_view kPrivateMode = "Vehicle.Layby.IsPrivateMode";
constexpr std::string_view kLanguage = "Vehicle.Cabin.Infotainment.HMI.CurrentLanguage";
constexpr std::string_view kUtcOffset = "Vehicle.Layby.UtcOffset";  // of local time, minutes
// UTC, parts of a second allowed; empty: as soon as it may be
constexpr std::string_view kActivateAt = "Vehicle.Layby.ActivateAt";
}  // namespace vss

constexpr int kGearPark = 126;
// Older than this, a signal says nothing about now. A car sends them at least every few seconds.
constexpr std::int64_t kSignalAgeMsMax = 15'000;
// A time stamp from the future by more than this comes from a clock that is wrong.
constexpr std::int64_t kSignalAheadMsMax = 5'000;
constexpr std::int64_t kSignalAtMsMax = std::int64_t{1} << 60;

struct Signal {
  std::string value;
  std::int64_t at_ms = 0;  // since 1970, by the same clock as the agent's
};

enum class Doubt { kMissing, kStale, kImplausible };

// A value that may be relied on now, or why there is none.
template <typename T>
using Reading = std::variant<T, Doubt>;

class Facts {
 public:
  // A time stamp that no clock has is taken for the nearest one that differences can be made of.
  void set(std::string_view name, Signal signal) {
    signal.at_ms = std::clamp(signal.at_ms, -kSignalAtMsMax, kSignalAtMsMax);
    lost_.erase(std::string(name));
    signals_[std::string(name)] = std::move(signal);
  }
  // The car has no such signal, or is not asked for it any more.
  void erase(std::string_view name) {
    lost_.erase(std::string(name));
    signals_.erase(std::string(name));
  }
  // The car has it, or may have it, and does not say it now: where a signal that no car needs to
  // have would stand against something, its absence proves nothing then.
  void lose(std::string_view name) {
    signals_.erase(std::string(name));
    lost_.emplace(name);
  }
  void clear() {
    lost_.clear();
    signals_.clear();
  }
  const std::set<std::string>& lost() const { return lost_; }
  bool has_or_had(std::string_view name) const {
    const std::string key(name);
    return signals_.contains(key) || lost_.contains(key);
  }
  const std::map<std::string, Signal>& signals() const { return signals_; }

  Reading<std::string> text(std::string_view name, std::int64_t now_ms,
                            std::int64_t age_ms_max = kSignalAgeMsMax) const;
  Reading<bool> boolean(std::string_view name, std::int64_t now_ms,
                        std::int64_t age_ms_max = kSignalAgeMsMax) const;
  Reading<std::int64_t> integer(std::string_view name, std::int64_t now_ms,
                                std::int64_t age_ms_max = kSignalAgeMsMax) const;
  // A decimal number, as thousandths: "12.6" is 12600.
  Reading<std::int64_t> thousandths(std::string_view name, std::int64_t now_ms,
                                    std::int64_t age_ms_max = kSignalAgeMsMax) const;

 private:
  std::map<std::string, Signal> signals_;
  std::set<std::string> lost_;  // none of them is in `signals_`
};

enum class DoorState { kClosedAndLocked, kClosedNotLocked, kOpen };
// All doors together: the worst of them. As many must be known as the car says it has (four unless
// it says otherwise, however long ago), each with both of its signals; a door or a count that is
// lost is a doubt.
Reading<DoorState> doors(const Facts& facts, std::int64_t now_ms);

// Something that a decision was made with is another one now: a value, or one that was stale and is
// not any more.
bool has_changed(const Facts& before, const Facts& now, std::int64_t now_ms);

// The driver is out and every door is closed and locked; not so when anything is in doubt.
bool is_left_and_locked(const Facts& facts, std::int64_t now_ms);

// Somebody is in, or a door is known to be open or unlocked: a lock after this is a new one. In
// doubt: no.
bool is_entered(const Facts& facts, std::int64_t now_ms);

// Drive readiness is on; nothing in doubt.
std::optional<bool> is_powered_on(const Facts& facts, std::int64_t now_ms);

// Private mode (P2.2). A car that says nothing of it has none; a stale "on" is still on: privacy
// needs no fresh proof.
bool is_private(const Facts& facts);

// The VIN that the car says it has; nothing if it says none.
std::optional<std::string> said_vin(const Facts& facts);

// The time before which the owner wants nothing to begin; none: as soon as it may be. In doubt
// where the car says something that is no time, or has lost the signal. `said_before` is what it
// said last (kept_owner_time): it counts until the car says another one, or an empty one.
using OwnerTime = Reading<std::optional<UnixSeconds>>;
OwnerTime owner_time(const Facts& facts, std::optional<UnixSeconds> said_before);
// What the car says now, nothing where it says none; `previous` where it says nothing or nonsense.
std::optional<UnixSeconds> kept_owner_time(const Facts& facts, std::optional<UnixSeconds> previous);

// What local time is ahead of UTC, in seconds; nothing if the car does not say, or says nonsense.
std::optional<std::int64_t> utc_offset(const Facts& facts);

}  // namespace layby::agent
