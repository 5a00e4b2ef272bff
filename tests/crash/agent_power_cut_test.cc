// Power cuts at the k-th operation on the disk of a whole update, for many k: after each the car
// has what it had or what it was getting, never a mixture; it goes on by itself; no marked chunk
// comes again; and in the end everything is active, reported once (P4.7). LAYBY_LONG=1 takes every
// k.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "delta/payload.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using Survives = MemoryDisk::Survives;

namespace {

struct Orders {
  manifest::OrderId function, maps, software;
};

Orders place(World& world) {
  world.publish_function();
  world.publish_maps();
  world.publish_software();
  return {world.server.order({"functions/adaptive-cruise/1.0.0.pkg"}),
          world.server.order({"maps/DE/2.tar", "maps/FR/2.tar", "maps/NL/2.tar"}),
          world.server.order({"software/hu-4/2.0.0.img"})};
}

bool all_active(const World& world, const Orders& orders) {
  for (const auto& id : {orders.function, orders.maps, orders.software})
    if (world.state(id) != State::kActive) return false;
  return true;
}

// The whole update; throws PowerCut when the disk does.
void drive_update(World& world, const Orders& orders) {
  world.start();
  for (int i = 0; i < 4 && !all_active(world, orders); ++i) {
    world.vehicle.drive();
    world.run(60);
    world.exit_and_lock();
    world.run(60);
  }
  world.run(10);  // the last word to the server
}

// From now on the server accepts no request for bytes of chunks that the journal has marked.
void forbid_marked_chunks(World& world, int& broken) {
  const auto record = Journal::read(world.disk, kState);
  if (!record) return;
  std::map<std::string, std::uint64_t> floors;
  for (const OrderRecord& order : record->orders)
    for (const ImageProgress& image : order.images)
      if (const manifest::Payload* payload = image.payload(); payload && image.chunk_count > 0)
        floors[to_hex(payload->sha256)] = image.bytes_done;
  world.server.at_payload = [floors, &broken](const std::string& sha256, const ByteRange& range) {
    const auto floor = floors.find(sha256);
    if (floor != floors.end() && range.offset < floor->second) ++broken;
  };
}

void check_sound(World& world) {
  const std::string maps = world.live_maps();
  CHECK((maps == "old" || maps == "new"));
  const std::string software = world.kept_software();
  CHECK((software == "old" || software == "new"));
}

void survive(std::uint64_t first_cut, std::uint64_t second_cut, Survives survives,
             std::uint32_t seed) {
  World world;
  const Orders orders = place(world);
  int broken = 0;
  for (const std::uint64_t cut : {first_cut, second_cut}) {
    if (cut == 0) continue;
    world.disk.cut_power_at(world.disk.operations() + cut);
    try {
      drive_update(world, orders);
    } catch (const PowerCut&) {
    }
    world.agent.reset();
    world.disk.restart(survives, seed);
    world.vehicle.power_cut();
    check_sound(world);
    forbid_marked_chunks(world, broken);
  }
  drive_update(world, orders);
  for (const auto& id : {orders.function, orders.maps, orders.software}) {
    const OrderRecord* order = world.order(id);
    REQUIRE(order != nullptr);
    INFO(order->images[0].name.text()
         << " " << to_string(order->state) << " " << (order->error ? order->error->message() : ""));
    CHECK(order->state == State::kActive);
  }
  CHECK(world.live_maps() == "new");
  CHECK(world.kept_software() == "new");
  CHECK(world.vehicle.functions.contains("adaptive-cruise"));
  CHECK(broken == 0);
  for (const auto& id : {orders.function, orders.maps, orders.software})
    CHECK(world.server.count_reported(id, manifest::OrderState::kActive) == 1);
  CHECK(world.disk.list("/car/inbox")->empty());
  CHECK(world.disk.list("/car/maps/regions")->size() == 3);
}

std::uint64_t operations_of_an_update() {
  World world;
  const Orders orders = place(world);
  const std::uint64_t before = world.disk.operations();
  drive_update(world, orders);
  REQUIRE(all_active(world, orders));
  return world.disk.operations() - before;
}

bool is_long() {
  const char* value = std::getenv("LAYBY_LONG");
  return value != nullptr && std::string(value) == "1";
}

}  // namespace

TEST_CASE("a power cut at any operation leaves old or new, and the update ends (P4.7)") {
  const std::uint64_t total = operations_of_an_update();
  const std::uint64_t stride = is_long() ? 1 : std::max<std::uint64_t>(1, total / 40);
  INFO(total << " operations");
  for (const Survives survives : {Survives::kOnlySynced, Survives::kEverything, Survives::kPerhaps})
    for (std::uint64_t cut = 1; cut < total; cut += stride) {
      INFO("cut at " << cut << " of " << total << ", survives " << static_cast<int>(survives));
      survive(cut, 0, survives, static_cast<std::uint32_t>(cut));
    }
}

TEST_CASE("a second power cut while it recovers from the first (P4.7)") {
  const std::uint64_t total = operations_of_an_update();
  const std::uint64_t stride = is_long() ? 7 : std::max<std::uint64_t>(1, total / 12);
  for (std::uint64_t cut = 3; cut < total; cut += stride)
    for (const std::uint64_t again : {2u, 11u, 40u}) {
      INFO("cuts at " << cut << " and " << again << " of " << total);
      survive(cut, again, Survives::kPerhaps, static_cast<std::uint32_t>(cut + again));
    }
}
