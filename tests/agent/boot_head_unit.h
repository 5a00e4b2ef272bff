// A head unit with a boot loader that does what docs/embedding.md says, around the world of a test.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/boot_vehicle.h"
#include "tests/agent/world.h"

namespace layby::tests {

// Boot control that remembers, and fails when it is told to.
class FakeBootControl final : public agent::BootControl {
 public:
  agent::BootRecord record;
  std::optional<ErrorCode> read_error, write_error;
  int fail_reads = 0;  // the next n
  int writes = 0;

  Result<agent::BootRecord> read() override {
    if (fail_reads > 0) {
      --fail_reads;
      return fail(ErrorCode::kIo, "a read that failed once");
    }
    if (read_error) return fail(*read_error, "boot control cannot be read");
    return record;
  }
  Result<void> write(const agent::BootRecord& wanted) override {
    if (write_error) return fail(*write_error, "boot control cannot be written");
    ++writes;
    record = wanted;
    return {};
  }
};

class HeadUnit {
 public:
  // Nothing is booted yet.
  explicit HeadUnit(std::unique_ptr<agent::BootControl> made) : control(std::move(made)) {}

  World world;
  std::unique_ptr<agent::BootControl> control;
  std::unique_ptr<agent::BootVehicle> vehicle;
  int trial_boots = 0;
  std::optional<agent::BootSlot> always_boots;   // whatever boot control says
  std::optional<agent::BootSlot> does_not_name;  // itself, on the kernel's command line

  // What the boot loader does; returns what it boots. Without an environment, slot A.
  agent::BootSlot choose();
  // Everything on the head unit ends, and begins anew in what the boot loader chose.
  void boot();
  // Publishes and orders the next software, and runs until it is downloaded.
  manifest::OrderId download();
  // Until the agent asks for a restart of the head unit.
  bool runs_until_restart();
  // Ends the agent and forgets, or sets, what the journal says of the live software.
  void forget_software();
  void set_live_software(agent::BootSlot slot);

  static std::string path(agent::BootSlot slot);
  std::string content(agent::BootSlot slot);  // "old", "new", "missing" or "damaged"
  // Boot control keeps this slot, nothing is on trial, it runs.
  bool keeps(agent::BootSlot slot);
};

}  // namespace layby::tests
