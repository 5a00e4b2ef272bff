#include "tests/agent/fake_vehicle.h"

#include <algorithm>

namespace layby::tests {

namespace vss = agent::vss;

FakeVehicle::FakeVehicle(const Clock& clock, Disk& disk) : clock_(&clock), disk_(&disk) {
  signals[std::string(vss::kTractionBattery)] = "80";
  signals[std::string(vss::kLowVoltageBattery)] = "12.6";
  signals[std::string(vss::kCable)] = "false";
  signals[std::string(vss::kPrivateMode)] = "false";
  signals[std::string(vss::kLanguage)] = "en";
  drive();
}

FakeVehicle::FakeVehicle(const FakeVehicle& other, const Clock& clock, Disk& disk)
    : FakeVehicle(other) {
  clock_ = &clock;
  disk_ = &disk;
  at_command = {};
  at_show = {};
}

void FakeVehicle::drive() {
  stand_open();
  signals[std::string(vss::kGear)] = "127";
  signals[std::string(vss::kParkingBrake)] = "false";
  signals[std::string(vss::kPower)] = "ON";
}

void FakeVehicle::stand_open() {
  park_locked();
  signals[std::string(vss::kDriver)] = "true";
  for (auto& [name, value] : signals)
    if (name.ends_with(".IsLocked")) value = "false";
}

void FakeVehicle::park_locked() {
  signals[std::string(vss::kGear)] = "126";
  signals[std::string(vss::kSpeed)] = "0";
  signals[std::string(vss::kParkingBrake)] = "true";
  signals[std::string(vss::kPower)] = "OFF";
  signals[std::string(vss::kDriver)] = "false";
  for (const char* door :
       {"Row1.DriverSide", "Row1.PassengerSide", "Row2.DriverSide", "Row2.PassengerSide"}) {
    signals[std::string(vss::kDoorPrefix) + door + ".IsOpen"] = "false";
    signals[std::string(vss::kDoorPrefix) + door + ".IsLocked"] = "true";
  }
}

const agent::Facts& FakeVehicle::facts() {
  if (!frozen) stamp_ms_ = clock_->now() * 1000 + ahead_ms;
  facts_.clear();
  if (unreachable) return facts_;
  for (const auto& [name, value] : signals) facts_.set(name, {value, stamp_ms_});
  for (const std::string& name : lost) facts_.lose(name);
  return facts_;
}

Result<void> FakeVehicle::enter(const std::string& command) {
  if (unreachable || refuses_commands) return fail(ErrorCode::kUnavailable, "the car is not there");
  if (at_command) at_command(command);
  log.push_back(command);
  return {};
}

Result<void> FakeVehicle::activate_function(const std::string& id, const std::string& package_path,
                                            const std::string& until) {
  TRY_VOID(enter("activate " + id + (until.empty() ? "" : " until " + until)));
  if (fail_activate > 0 || id == dead_function) {
    fail_activate = std::max(0, fail_activate - 1);
    return fail(ErrorCode::kActivationFailed, "the control unit does not answer");
  }
  TRY_VOID(disk_->status(package_path).map([](const FileStatus&) {}));
  functions[id] = package_path;
  return {};
}

Result<void> FakeVehicle::deactivate_function(const std::string& id) {
  TRY_VOID(enter("deactivate " + id));
  if (id == dead_function) return fail(ErrorCode::kActivationFailed, "no answer");
  functions.erase(id);
  return {};
}

Result<void> FakeVehicle::boot_software(agent::BootStep step, const std::string& slot_path) {
  switch (step) {
    case agent::BootStep::kTrial:
      TRY_VOID(enter("boot " + slot_path));
      booted = slot_path;
      return {};
    case agent::BootStep::kKeep:
      TRY_VOID(enter("keep " + slot_path));
      confirmed = slot_path;
      return {};
    case agent::BootStep::kRevert:
      TRY_VOID(enter("revert " + slot_path));
      if (refuses_revert) return fail(ErrorCode::kActivationFailed, "the car answered 3");
      booted = confirmed = slot_path;
      return {};
  }
  return {};
}

Result<void> FakeVehicle::check_software(const std::string& slot_path) {
  TRY_VOID(enter("check " + slot_path));
  if (fail_health > 0) {
    --fail_health;
    return fail(ErrorCode::kHealthCheckFailed, "a fault after the boot");
  }
  if (booted != slot_path)
    return fail(ErrorCode::kHealthCheckFailed, "{} runs and not {}", booted, slot_path);
  return {};
}

Result<void> FakeVehicle::restart() {
  TRY_VOID(enter("restart"));
  ++restarts;
  return {};
}

Result<void> FakeVehicle::reload_maps(const std::string& set_path) {
  TRY_VOID(enter("reload " + set_path));
  if (fail_reload > 0) {
    --fail_reload;
    return fail(ErrorCode::kActivationFailed, "the navigation does not come up");
  }
  for (const std::string& region : TRY(disk_->list(set_path)))
    TRY_VOID(disk_->open_read(set_path + "/" + region + "/data.json").map([](const auto&) {}));
  map_set = set_path;
  return {};
}

Result<void> FakeVehicle::show(const agent::Screen& shown) {
  if (unreachable) return fail(ErrorCode::kUnavailable, "the car is not there");
  if (at_show) at_show();
  lines = shown.lines;
  screen = shown;
  return {};
}

bool FakeVehicle::shows(const std::string& part) const {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

}  // namespace layby::tests
