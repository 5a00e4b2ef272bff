// A Vehicle whose commands are programs of the firmware's (docs/embedding.md, "Hook programs"):
// those that have one; signals, the screen and all other commands are another Vehicle's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/hook_program.h"
#include "agent/vehicle.h"
#include "base/clock.h"

namespace layby::agent {

enum class Hook : std::uint8_t { kActivate, kDeactivate, kBoot, kCheck, kReload, kRestart };
std::string_view to_string(Hook hook);  // the program's first argument: "activate", …
std::optional<Hook> hook_from(std::string_view name);

struct HookOptions {
  std::map<Hook, std::vector<std::string>> programs;  // an absolute path and arguments of its own
  std::int64_t seconds_max = 120;  // then it is killed with all that it has started
};

class HookVehicle final : public Vehicle {
 public:
  // Both must outlive it.
  HookVehicle(Vehicle& inner, const Clock& clock, HookOptions options)
      : inner_(inner), clock_(clock), options_(std::move(options)) {}

  const Facts& facts() override { return inner_.facts(); }
  int descriptor() const override { return inner_.descriptor(); }
  void want_signals(const std::set<std::string>& names) override { inner_.want_signals(names); }
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override;
  Result<void> deactivate_function(const std::string& id) override;
  Result<void> boot_software(BootStep step, const std::string& slot_path) override;
  Result<void> check_software(const std::string& slot_path) override;
  Result<void> reload_maps(const std::string& set_path) override;
  Result<void> restart() override;
  Result<void> show(const Screen& screen) override { return inner_.show(screen); }

 private:
  bool has(Hook hook) const { return options_.programs.contains(hook); }
  Result<void> run(Hook hook, const std::map<std::string, std::string>& environment,
                   const std::vector<std::string>& arguments, ErrorCode on_refusal);

  Vehicle& inner_;
  const Clock& clock_;
  const HookOptions options_;
};

}  // namespace layby::agent
