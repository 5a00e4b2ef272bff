#include "agent/hook_vehicle.h"

#include <array>
#include <utility>

#include "agent/hook_program.h"
#include "base/assert.h"

namespace layby::agent {
namespace {

constexpr std::array<std::pair<Hook, std::string_view>, 6> kHooks = {{
    {Hook::kActivate, "activate"},
    {Hook::kDeactivate, "deactivate"},
    {Hook::kBoot, "boot"},
    {Hook::kCheck, "check"},
    {Hook::kReload, "reload"},
    {Hook::kRestart, "restart"},
}};

std::string_view to_string(BootStep step) {
  switch (step) {
    case BootStep::kTrial: return "trial";
    case BootStep::kKeep: return "keep";
    case BootStep::kRevert: return "revert";
  }
  LAYBY_ASSERT(false);
}

}  // namespace

std::string_view to_string(Hook hook) {
  for (const auto& [entry, name] : kHooks)
    if (entry == hook) return name;
  LAYBY_ASSERT(false);
}

std::optional<Hook> hook_from(std::string_view name) {
  for (const auto& [hook, text] : kHooks)
    if (text == name) return hook;
  return std::nullopt;
}

Result<void> HookVehicle::run(Hook hook, const std::map<std::string, std::string>& environment,
                              const std::vector<std::string>& arguments, ErrorCode on_refusal) {
  return run_hook_program(clock_,
                          {.program = options_.programs.at(hook),
                           .command = std::string(to_string(hook)),
                           .arguments = arguments,
                           .environment = environment,
                           .seconds_max = options_.seconds_max},
                          on_refusal);
}

Result<void> HookVehicle::activate_function(const std::string& id, const std::string& package_path,
                                            const std::string& until) {
  if (!has(Hook::kActivate)) return inner_.activate_function(id, package_path, until);
  return run(Hook::kActivate,
             {{"LAYBY_FUNCTION", id}, {"LAYBY_PACKAGE", package_path}, {"LAYBY_UNTIL", until}},
             {id, package_path, until}, ErrorCode::kActivationFailed);
}

Result<void> HookVehicle::deactivate_function(const std::string& id) {
  if (!has(Hook::kDeactivate)) return inner_.deactivate_function(id);
  return run(Hook::kDeactivate, {{"LAYBY_FUNCTION", id}}, {id}, ErrorCode::kActivationFailed);
}

Result<void> HookVehicle::boot_software(BootStep step, const std::string& slot_path) {
  if (!has(Hook::kBoot)) return inner_.boot_software(step, slot_path);
  const std::string name(to_string(step));
  return run(Hook::kBoot, {{"LAYBY_STEP", name}, {"LAYBY_SLOT", slot_path}}, {name, slot_path},
             ErrorCode::kActivationFailed);
}

Result<void> HookVehicle::check_software(const std::string& slot_path) {
  if (!has(Hook::kCheck)) return inner_.check_software(slot_path);
  return run(Hook::kCheck, {{"LAYBY_SLOT", slot_path}}, {slot_path}, ErrorCode::kHealthCheckFailed);
}

Result<void> HookVehicle::reload_maps(const std::string& set_path) {
  if (!has(Hook::kReload)) return inner_.reload_maps(set_path);
  return run(Hook::kReload, {{"LAYBY_SET", set_path}}, {set_path}, ErrorCode::kActivationFailed);
}

Result<void> HookVehicle::restart() {
  if (!has(Hook::kRestart)) return inner_.restart();
  return run(Hook::kRestart, {}, {}, ErrorCode::kActivationFailed);
}

}  // namespace layby::agent
