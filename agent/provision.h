// The factory state: identity, keys, trusted roots, the images that the car leaves the factory
// with.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/boot_control.h"
#include "agent/car_identity.h"

namespace layby::agent {

struct FactoryState {
  CarIdentity identity;
  std::string director_root_path;
  std::string image_root_path;
  std::string ca_path;
  std::map<manifest::RegionId, std::string> map_directories;
  std::string software_path;  // empty: none
  // Release counters of these, as the Image repository lists them: nothing older is installed.
  std::uint64_t map_counter = 0, software_counter = 0;
  // Block devices (or files) for the two software slots; empty: files in the state directory.
  std::string software_slot_a{};
  std::string software_slot_b{};
  // The slot that runs, which `software_path` is the image of; empty: slot A. The boot loader has
  // to keep the same one.
  std::optional<BootSlot> running_slot{};
  std::vector<std::string> ecu_addresses{};  // of secondaries; who they are is learnt at pairing
};

// kAlreadyExists if the directory is provisioned. What a broken-off attempt left is overwritten.
Result<void> provision(Disk& disk, const Layout& layout, const FactoryState& factory);

}  // namespace layby::agent
