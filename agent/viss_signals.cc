#include "agent/viss_signals.h"

#include <charconv>
#include <utility>

#include "agent/facts.h"

namespace layby::agent {
namespace {

constexpr std::string_view kOneName[] = {
    vss::kVin,        vss::kSpeed,     vss::kGear,        vss::kParkingBrake,
    vss::kPower,      vss::kDriver,    vss::kCable,       vss::kLowVoltageBattery,
    vss::kDoorCount,  vss::kBearer,    vss::kInCall,      vss::kRadioGeneration,
    vss::kRegion,     vss::kRoaming,   vss::kPrivateMode, vss::kLanguage,
    vss::kActivateAt, vss::kUtcOffset,
};
constexpr std::string_view kDoors[] = {"Row1.DriverSide", "Row1.PassengerSide", "Row2.DriverSide",
                                       "Row2.PassengerSide"};
constexpr std::string_view kChargeCurrent =
    "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current";

constexpr std::pair<std::string_view, double> kUnits[] = {
    {"V", 1},    {"mV", 0.001}, {"percent", 1},    {"ratio", 100},
    {"km/h", 1}, {"m/s", 3.6},  {"mph", 1.609344},
};

}  // namespace

std::vector<VissSignal> default_viss_signals() {
  std::vector<VissSignal> signals;
  for (const std::string_view name : kOneName)
    signals.push_back({std::string(name), {std::string(name)}});
  signals.push_back({std::string(vss::kTractionBattery),
                     {std::string(vss::kTractionBattery), std::string(kChargeCurrent)}});
  for (const std::string_view door : kDoors) {
    for (const std::string_view what : {".IsOpen", ".IsLocked"}) {
      const std::string name =
          std::string(vss::kDoorPrefix) + std::string(door) + std::string(what);
      signals.push_back({name, {name}});
    }
  }
  return signals;
}

Result<double> unit_factor(std::string_view unit) {
  for (const auto& [name, factor] : kUnits)
    if (name == unit) return factor;
  return fail(ErrorCode::kInvalidArgument,
              "unit {}: V, mV, percent, ratio, km/h, m/s and mph are known", unit);
}

std::string translate(const VissSignal& signal, const std::string& value) {
  const auto found = signal.values.find(value);
  if (found != signal.values.end()) return found->second;
  if (signal.factor == 1) return value;
  double number = 0;
  const char* end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || at != end || !(number > -1e9 && number < 1e9)) return value;
  std::string text = fmt::format("{:.3f}", number * signal.factor);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace layby::agent
