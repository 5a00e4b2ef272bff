// The Vehicle seam: what the agent sees of the car and what it may ask of it.
//
// Implementations: a VISS server (viss_vehicle.h), programs of the firmware in front of any other
// (hook_vehicle.h), the callbacks of the C interface, and the fake of the tests. One thread.
// Commands may be repeated after a power cut: each must do no harm when it was already done. Every
// command answers within a time of its own choosing; kUnavailable says that the car could not be
// asked, anything else that it could not do it.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "agent/boot_control.h"
#include "agent/facts.h"
#include "agent/screen.h"
#include "base/result.h"

namespace layby::agent {

// What the head unit is to do with the software slots.
enum class BootStep {
  kTrial,   // boot the slot once; unless it is kept, the next boot takes the old one again
  kKeep,    // the trial was good: from now on boot this slot
  kRevert,  // boot the slot that was kept last
};

// What the boot loader's side says of the slots.
struct BootSlots {
  BootSlot running;
  BootSlot kept;
  std::optional<BootSlot> trial{};
  std::uint32_t trial_left = 1;  // its boots; 0: what is kept is booted, as without it
};

class Vehicle {
 public:
  virtual ~Vehicle() = default;

  // Takes in what the car has said meanwhile, without waiting. Valid until the next call.
  virtual const Facts& facts() = 0;
  // Becomes readable when `facts` would change; negative: ask at intervals.
  virtual int descriptor() const { return -1; }

  // Signals that packages ask for, besides those of facts.h; told before each look at the facts. A
  // car that says everything anyway has nothing to do.
  virtual void want_signals(const std::set<std::string>&) {}

  // Switches a function on. `until` as in its licence, empty for unlimited.
  virtual Result<void> activate_function(const std::string& id, const std::string& package_path,
                                         const std::string& until) = 0;
  virtual Result<void> deactivate_function(const std::string& id) = 0;

  // `slot_path` is the image that kTrial boots or kKeep keeps; for kRevert the one to go back to.
  virtual Result<void> boot_software(BootStep step, const std::string& slot_path) = 0;
  // What runs now is well: kHealthCheckFailed with what is wrong, otherwise.
  virtual Result<void> check_software(const std::string& slot_path) = 0;

  // Ends everything that runs on the head unit, this process too, and boots it again. Asked for
  // only where the slots are chosen through boot control (boot_vehicle.h).
  virtual Result<void> restart() {
    return fail(ErrorCode::kUnsupported, "this car does not restart its head unit");
  }

  // Asked before anything is written into a slot. Empty: this car chooses between the slots by
  // itself, and the commands above are all that is known. Else errors of boot control as they come.
  virtual Result<std::optional<BootSlots>> boot_slots() { return std::optional<BootSlots>{}; }
  // The slot on trial is not booted any more; what runs goes on running. Asked for only where
  // `boot_slots` says something.
  virtual Result<void> end_trial() { return {}; }

  // The live set of maps is now this directory: open it and prove that every region can be read.
  virtual Result<void> reload_maps(const std::string& set_path) = 0;

  // For the head unit, in the driver's language. It stays until another comes.
  virtual Result<void> show(const Screen& screen) = 0;
};

}  // namespace layby::agent
