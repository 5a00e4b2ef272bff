#include "agent/boot_vehicle.h"

#include "base/assert.h"

namespace layby::agent {
namespace {

// A head unit that was asked to restart and did not is asked once more.
constexpr std::int64_t kRestartMs = 120'000;

// A medium that fails once, or a block that somebody is writing just now, gets another chance.
constexpr int kReadsOfControl = 3;

Result<BootRecord> read_patiently(BootControl& control) {
  Result<BootRecord> record = control.read();
  for (int i = 1; i < kReadsOfControl && !record; ++i) record = control.read();
  return record;
}

// The layout has two: software/a.img and software/b.img.
Result<BootSlot> slot_of(const std::string& path) {
  for (const BootSlot slot : {BootSlot::kA, BootSlot::kB})
    if (path.ends_with("/" + std::string(to_string(slot)) + ".img")) return slot;
  return fail(ErrorCode::kInvalidArgument, "{} is none of the two software slots", path);
}

}  // namespace

Result<std::optional<BootSlots>> boot_slots(BootControl& control, const Result<BootSlot>& running) {
  const BootRecord record = TRY(read_patiently(control));
  if (!running) return fail(running.error());
  return BootSlots{.running = *running,
                   .kept = record.kept,
                   .trial = record.trial,
                   .trial_left = record.trial_left};
}

Result<void> BootVehicle::restart_head_unit() {
  if (!asked_ms_ || clock_.monotonic_ms() - *asked_ms_ >= kRestartMs) {
    TRY_VOID(inner_.restart());
    asked_ms_ = clock_.monotonic_ms();
  }
  return fail(ErrorCode::kUnavailable, "the head unit restarts");
}

Result<void> BootVehicle::try_slot(BootSlot slot) {
  if (TRY(running()) == slot) return {};
  BootRecord record = TRY(read_patiently(control_));
  if (record.trial == slot && record.trial_left == 0)
    return fail(ErrorCode::kActivationFailed, "slot {} did not come up in {} boots",
                to_string(slot), kTrialBoots);
  if (record.trial != slot) {
    record.trial = slot;
    record.trial_left = kTrialBoots;
    TRY_VOID(control_.write(record));
  }
  return restart_head_unit();
}

Result<void> BootVehicle::boot_software(BootStep step, const std::string& slot_path) {
  const BootSlot slot = TRY(slot_of(slot_path));
  const BootRecord only{.kept = slot};
  switch (step) {
    case BootStep::kTrial: return try_slot(slot);
    case BootStep::kKeep:
      TRY_VOID(check_running(slot, ErrorCode::kConflict));
      if (TRY(read_patiently(control_)) == only) return {};
      return control_.write(only);
    case BootStep::kRevert:
      if (TRY(read_patiently(control_)) != only) {
        TRY_VOID(control_.write(only));
        has_reverted_ = true;
      }
      if (running_) return *running_ == slot ? Result<void>{} : restart_head_unit();
      // Nobody says what runs. What comes up after this is what is kept.
      return has_reverted_ ? restart_head_unit() : Result<void>{};
  }
  LAYBY_ASSERT(false);
}

Result<void> BootVehicle::check_running(BootSlot slot, ErrorCode code) const {
  const BootSlot now = TRY(running());
  if (now == slot) return {};
  return fail(code, "slot {} runs and not {}", to_string(now), to_string(slot));
}

Result<void> BootVehicle::check_software(const std::string& slot_path) {
  const BootSlot slot = TRY(slot_of(slot_path));
  TRY_VOID(check_running(slot, ErrorCode::kHealthCheckFailed));
  return inner_.check_software(slot_path);
}

Result<std::optional<BootSlots>> BootVehicle::boot_slots() {
  return agent::boot_slots(control_, running_);
}

// The head unit may still carry out the restart that it was asked for: it comes up in what is kept.
Result<void> BootVehicle::end_trial() {
  const BootRecord record = TRY(read_patiently(control_));
  if (!record.trial) return {};
  TRY_VOID(control_.write({.kept = record.kept}));
  asked_ms_.reset();
  return {};
}

}  // namespace layby::agent
