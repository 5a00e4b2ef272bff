// A host's car, as the C interface has it.
#pragma once

#include "agent/layby_agent.h"
#include "agent/vehicle.h"

namespace layby::agent {

class HostVehicle final : public Vehicle {
 public:
  explicit HostVehicle(const layby_vehicle& host) : host_(host) {}

  const Facts& facts() override;
  // The host polls for itself: all that counts is whether it wakes us.
  int descriptor() const override { return host_.tells_changes != 0 ? 0 : -1; }
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override;
  Result<void> deactivate_function(const std::string& id) override;
  Result<void> boot_software(BootStep step, const std::string& slot_path) override;
  Result<void> check_software(const std::string& slot_path) override;
  Result<void> reload_maps(const std::string& set_path) override;
  Result<void> show(const Screen& screen) override;

 private:
  Result<void> ask(const layby_command& command, ErrorCode on_refusal);

  layby_vehicle host_;
  Facts facts_;
};

}  // namespace layby::agent
