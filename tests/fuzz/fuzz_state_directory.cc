// What the agent reads back from its disk: the first byte of the input says which file of a car
// that is in the middle of an update holds the rest of it. The agent starts, or says why not; what
// it takes up, it takes up without a mixture.
#include "base/assert.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::tests;

namespace {

constexpr const char* kFiles[] = {
    "car.json",
    "journal.0",
    "journal.1",
    "journal.kept",
    "keys/certificate.pem",
    "keys/ecu.key",
    "licences/adaptive-cruise.licence",
    "outbox/manifest.json",
    "trust/director/root.json",
    "trust/director/targets.json",
    "trust/director/timestamp.json",
    "trust/image/snapshot.json",
    "trust/image/targets.json",
    "inbox/HEAD",
};
constexpr int kSteps = 30;

// A function is on, maps are half downloaded.
std::unique_ptr<World> make_car() {
  auto world = std::make_unique<World>();
  world->publish_function();
  world->publish_maps();
  const auto function = world->server.order({"functions/adaptive-cruise/1.0.0.pkg"});
  LAYBY_ASSERT(world->run_until_state(function, agent::State::kDownloaded, 3600));
  world->run(20);
  world->exit_and_lock();
  LAYBY_ASSERT(world->run_until_state(function, agent::State::kActive, 600));
  const auto maps = world->server.order({"maps/DE/2.tar", "maps/FR/2.tar", "maps/NL/2.tar"});
  world->vehicle.drive();
  LAYBY_ASSERT(world->run_until_state(maps, agent::State::kDownloading, 600));
  for (int i = 0; i < 5; ++i) LAYBY_ASSERT(world->agent->step());
  world->agent.reset();
  return world;
}

std::string path_of(World& world, std::uint8_t choice) {
  const std::string name = kFiles[choice % std::size(kFiles)];
  const std::string inbox = std::string(kState) + "/inbox";
  if (name != "inbox/HEAD") return std::string(kState) + "/" + name;
  for (const std::string& entry : world.disk.list(inbox).value_or(std::vector<std::string>{}))
    if (entry.ends_with(".head")) return inbox + "/" + entry;
  return inbox + "/none.head";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<World> car = make_car();
  if (size == 0) return 0;
  World world(*car);
  const std::string path = path_of(world, data[0]);
  LAYBY_ASSERT(world.disk.remove(path + ".copy"));  // else nobody would read it
  LAYBY_ASSERT(replace_file(world.disk, path, {data + 1, size - 1}));
  auto opened =
      agent::Agent::open(world.disk, world.clock, world.server, world.vehicle, world.options);
  for (int i = 0; i < kSteps && opened; ++i) {
    const auto next = (*opened)->step();
    if (!next) break;
    world.clock.advance_ms(next->wait_ms);
  }
  const std::string maps = world.live_maps(), software = world.kept_software();
  LAYBY_ASSERT(maps == "old" && software == "old");
  return 0;
}
