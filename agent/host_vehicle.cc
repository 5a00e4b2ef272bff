#include "agent/host_vehicle.h"

#include <exception>

namespace layby::agent {
namespace {

// Called through frames of the host: a signal that cannot be taken is a missing one, no exception.
void take(void* sink, const char* name, const char* value, std::int64_t unix_ms) noexcept {
  if (sink == nullptr || name == nullptr) return;
  Facts& facts = *static_cast<Facts*>(sink);
  try {
    if (value == nullptr)
      facts.lose(name);
    else
      facts.set(name, {value, unix_ms});
  } catch (const std::exception&) {
  }
}

layby_command_kind kind_of(BootStep step) {
  switch (step) {
    case BootStep::kTrial: return LAYBY_BOOT_TRIAL;
    case BootStep::kKeep: return LAYBY_BOOT_KEEP;
    case BootStep::kRevert: return LAYBY_BOOT_REVERT;
  }
  return LAYBY_BOOT_REVERT;
}

}  // namespace

const Facts& HostVehicle::facts() {
  facts_.clear();
  host_.read_signals(host_.context, take, &facts_);
  return facts_;
}

Result<void> HostVehicle::activate_function(const std::string& id, const std::string& package_path,
                                            const std::string& until) {
  return ask({LAYBY_ACTIVATE_FUNCTION, id.c_str(), package_path.c_str(), until.c_str()},
             ErrorCode::kActivationFailed);
}

Result<void> HostVehicle::deactivate_function(const std::string& id) {
  return ask({LAYBY_DEACTIVATE_FUNCTION, id.c_str(), "", ""}, ErrorCode::kActivationFailed);
}

Result<void> HostVehicle::boot_software(BootStep step, const std::string& slot_path) {
  return ask({kind_of(step), "", slot_path.c_str(), ""}, ErrorCode::kActivationFailed);
}

Result<void> HostVehicle::check_software(const std::string& slot_path) {
  return ask({LAYBY_CHECK_SOFTWARE, "", slot_path.c_str(), ""}, ErrorCode::kHealthCheckFailed);
}

Result<void> HostVehicle::reload_maps(const std::string& set_path) {
  return ask({LAYBY_RELOAD_MAPS, "", set_path.c_str(), ""}, ErrorCode::kActivationFailed);
}

Result<void> HostVehicle::show(const Screen& screen) {
  std::string text;
  for (const std::string& line : screen.lines) text += (text.empty() ? "" : "\n") + line;
  return ask({LAYBY_SHOW, text.c_str(), "", ""}, ErrorCode::kUnavailable);
}

Result<void> HostVehicle::ask(const layby_command& command, ErrorCode on_refusal) {
  const int result = host_.command(host_.context, &command);
  if (result == LAYBY_OK) return {};
  if (result == LAYBY_UNAVAILABLE) return fail(ErrorCode::kUnavailable, "the car is not ready");
  return fail(on_refusal, "the car answered {}", result);
}

}  // namespace layby::agent
