// A car whose software slots are chosen by its boot loader: the slots go through boot control and
// restarts of the head unit, all else through the vehicle behind it.
//
// A trial ends this process: the head unit restarts, and the agent of the new software goes on from
// the journal. Until then the car counts as one that could not be asked.
#pragma once

#include "agent/boot_control.h"
#include "agent/vehicle.h"
#include "base/clock.h"

namespace layby::agent {

// Vehicle::boot_slots of such a car.
Result<std::optional<BootSlots>> boot_slots(BootControl& control, const Result<BootSlot>& running);

class BootVehicle final : public Vehicle {
 public:
  // Boots that a trial may take: a power cut in the middle of one must not end it.
  static constexpr std::uint32_t kTrialBoots = 3;

  // `running` is the slot that this process was booted from, or why that is not known. All must
  // outlive it.
  BootVehicle(Vehicle& inner, BootControl& control, const Clock& clock, Result<BootSlot> running)
      : inner_(inner), control_(control), clock_(clock), running_(std::move(running)) {}

  const Facts& facts() override { return inner_.facts(); }
  int descriptor() const override { return inner_.descriptor(); }
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override {
    return inner_.activate_function(id, package_path, until);
  }
  Result<void> deactivate_function(const std::string& id) override {
    return inner_.deactivate_function(id);
  }
  Result<void> boot_software(BootStep step, const std::string& slot_path) override;
  Result<void> check_software(const std::string& slot_path) override;
  Result<void> reload_maps(const std::string& set_path) override {
    return inner_.reload_maps(set_path);
  }
  void want_signals(const std::set<std::string>& names) override { inner_.want_signals(names); }
  Result<void> show(const Screen& screen) override { return inner_.show(screen); }
  Result<void> restart() override { return inner_.restart(); }
  Result<std::optional<BootSlots>> boot_slots() override;
  Result<void> end_trial() override;

 private:
  Result<BootSlot> running() const { return running_; }
  Result<void> check_running(BootSlot slot, ErrorCode code) const;
  Result<void> try_slot(BootSlot slot);
  Result<void> restart_head_unit();

  Vehicle& inner_;
  BootControl& control_;
  const Clock& clock_;
  const Result<BootSlot> running_;
  std::optional<std::int64_t> asked_ms_;  // monotonic; for the restart
  bool has_reverted_ = false;             // boot control kept another slot when this began
};

}  // namespace layby::agent
