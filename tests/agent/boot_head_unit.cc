#include "tests/agent/boot_head_unit.h"

#include "agent/journal.h"
#include "base/assert.h"

namespace layby::tests {

using agent::BootRecord;
using agent::BootSlot;
using agent::BootVehicle;

BootSlot HeadUnit::choose() {
  const auto read = control->read();
  if (!read) return BootSlot::kA;
  BootRecord record = *read;
  if (!record.trial || record.trial_left == 0) return record.kept;
  --record.trial_left;
  if (!control->write(record)) return record.kept;
  ++trial_boots;
  return *record.trial;
}

void HeadUnit::boot() {
  const BootSlot running = always_boots.value_or(choose());
  world.agent.reset();
  world.vehicle.booted = path(running);
  Result<BootSlot> named = running;
  if (running == does_not_name) named = fail(ErrorCode::kNotFound, "the line has no layby.slot");
  vehicle = std::make_unique<BootVehicle>(world.vehicle, *control, world.clock, named);
  auto opened = agent::Agent::open(world.disk, world.clock, world.server, *vehicle, world.options);
  LAYBY_ASSERT(opened.has_value());
  world.agent = std::move(*opened);
}

manifest::OrderId HeadUnit::download() {
  world.publish_software();
  const auto id = world.server.order({"software/hu-4/2.0.0.img"});
  LAYBY_ASSERT(world.run_until_state(id, agent::State::kDownloaded, 600));
  return id;
}

bool HeadUnit::runs_until_restart() {
  const int before = world.vehicle.restarts;
  return world.run(600, [&] { return world.vehicle.restarts > before; });
}

void HeadUnit::forget_software() {
  world.agent.reset();
  auto journal = agent::Journal::open(world.disk, kState).value();
  journal.record().slots.erase(manifest::Slot::software());
  LAYBY_ASSERT(journal.save().has_value());
}

void HeadUnit::set_live_software(BootSlot slot) {
  world.agent.reset();
  auto journal = agent::Journal::open(world.disk, kState).value();
  agent::SlotRecord& live = journal.record().slots.at(manifest::Slot::software());
  const std::string before = std::string(kState) + "/" + live.path;
  if (before != path(slot)) LAYBY_ASSERT(world.disk.rename(before, path(slot)).has_value());
  live.path = "software/" + std::string(agent::to_string(slot)) + ".img";
  LAYBY_ASSERT(journal.save().has_value());
  world.vehicle.booted = world.vehicle.confirmed = path(slot);
}

std::string HeadUnit::path(BootSlot slot) {
  return std::string(kState) + "/software/" + std::string(agent::to_string(slot)) + ".img";
}

std::string HeadUnit::content(BootSlot slot) {
  const MemoryDisk::Quiet quiet(world.disk);
  const auto bytes = read_file(world.disk, path(slot), 1 << 20);
  if (!bytes) return "missing";
  return *bytes == world.old_software ? "old" : *bytes == world.new_software ? "new" : "damaged";
}

bool HeadUnit::keeps(BootSlot slot) {
  const auto read = control->read();
  return read && *read == BootRecord{.kept = slot} && world.vehicle.booted == path(slot);
}

}  // namespace layby::tests
