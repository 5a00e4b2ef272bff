#include "agent/secondary/hook_firmware.h"

#include "agent/hook_program.h"
#include "base/assert.h"

namespace layby::secondary {
namespace {

std::string name_of(Firmware::Step step) {
  switch (step) {
    case Firmware::Step::kTrial: return "trial";
    case Firmware::Step::kKeep: return "keep";
    case Firmware::Step::kRevert: return "revert";
  }
  LAYBY_ASSERT(false);
}

}  // namespace

Result<void> HookFirmware::boot(Step step, const std::string& slot_path) {
  if (hooks_.boot.empty()) return {};
  const std::string name = name_of(step);
  return agent::run_hook_program(clock_,
                                 {.program = hooks_.boot,
                                  .command = "boot",
                                  .arguments = {name, slot_path},
                                  .environment = {{"LAYBY_STEP", name}, {"LAYBY_SLOT", slot_path}},
                                  .seconds_max = hooks_.seconds_max},
                                 ErrorCode::kActivationFailed);
}

Firmware::Runs HookFirmware::runs(const std::string& slot_path) {
  if (hooks_.running.empty()) return Runs::kUnknown;
  const auto said = agent::run_hook_program(clock_,
                                            {.program = hooks_.running,
                                             .command = "running",
                                             .arguments = {slot_path},
                                             .environment = {{"LAYBY_SLOT", slot_path}},
                                             .seconds_max = hooks_.seconds_max},
                                            ErrorCode::kActivationFailed);
  if (said) return Runs::kYes;
  return said.error().code() == ErrorCode::kActivationFailed ? Runs::kNo : Runs::kUnknown;
}

Result<void> HookFirmware::check(const std::string& slot_path) {
  if (hooks_.check.empty()) return {};
  return agent::run_hook_program(clock_,
                                 {.program = hooks_.check,
                                  .command = "check",
                                  .arguments = {slot_path},
                                  .environment = {{"LAYBY_SLOT", slot_path}},
                                  .seconds_max = hooks_.seconds_max},
                                 ErrorCode::kHealthCheckFailed);
}

}  // namespace layby::secondary
