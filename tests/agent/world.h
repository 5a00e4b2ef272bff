// One car, one server, one clock: everything that a test of whole updates needs.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "tests/agent/fake_server.h"
#include "tests/agent/fake_vehicle.h"
#include "tests/agent/memory_disk.h"

namespace layby::tests {

constexpr const char* kVin = "WVWZZZ1JZXW000017";
constexpr const char* kEcu = "HU-000017";
constexpr const char* kHardware = "hu-4";
constexpr const char* kState = "/car";
constexpr UnixSeconds kStart = 1'795'000'000;  // some day in 2026

// Bytes that do not compress, the same for the same seed.
Bytes noise(std::size_t count, std::uint32_t seed);
// A few bytes of `base` changed here and there.
Bytes changed(Bytes base, std::uint32_t seed);

class World {
 public:
  // Provisioned and paired: regions DE, FR, NL in their first version, software in slot A.
  explicit World(std::uint64_t factory_counter = 0);  // release counter of its first software
  // The same moment in another world: disk, server and car as they are, no agent.
  World(const World& other);

  ManualClock clock{kStart};
  MemoryDisk disk;
  FakeServer server;
  FakeVehicle vehicle;
  std::unique_ptr<agent::Agent> agent;
  agent::AgentOptions options{.state_directory = kState};  // for the next start

  // Contents of the factory, and the next release, which is published with a delta from it.
  std::map<std::string, Bytes> old_regions, new_regions;  // as images (archives)
  Bytes old_software, new_software, package;

  void publish_maps(manifest::NetworkNeed network = manifest::NetworkNeed::kAny);
  void publish_software(manifest::NetworkNeed network = manifest::NetworkNeed::kAny);
  void publish_function(const std::string& version = "1.0.0", std::uint64_t release_counter = 1);

  // Opens the agent anew, as after a start.
  void start();
  // Steps until it is idle, or until `done`; time passes when it waits, up to `seconds`.
  bool run(std::int64_t seconds, const std::function<bool()>& done = {});
  // The same in long strides: for days in which nothing happens.
  bool run_days(std::int64_t days, const std::function<bool()>& done = {});
  bool run_until_state(const manifest::OrderId& id, agent::State state, std::int64_t seconds);
  // Unlocks, gets in; gets out, locks.
  void exit_and_lock();

  const agent::OrderRecord* order(const manifest::OrderId& id) const;
  std::optional<agent::State> state(const manifest::OrderId& id) const;

  // What a reader that follows `maps/current` sees now: "old", "new" or "mixture".
  std::string live_maps();
  // What the slot that the car would boot holds: "old", "new" or "damaged".
  std::string kept_software();

 private:
  bool run_in_strides(std::int64_t seconds, std::int64_t stride_ms_min,
                      const std::function<bool()>& done);
  void write_region(const std::string& directory, const std::string& region, std::uint32_t seed,
                    bool is_new);
  Bytes archive(const std::string& directory);
};

// Publishes the next release of one kind and orders it; maps: all three regions.
manifest::OrderId order_function(World& world);
manifest::OrderId order_maps(World& world);
manifest::OrderId order_software(World& world,
                                 manifest::NetworkNeed network = manifest::NetworkNeed::kAny);

}  // namespace layby::tests
