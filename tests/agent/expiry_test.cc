// Files that expire while an order is on its way: in no state is the car wedged for ever, and none
// of it needs a hand (U 5.4.4).
#include <catch2/catch.hpp>

#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr std::int64_t kLongerThanMetadata = 40 * kDaySeconds;  // it lives for 30 days

const std::string kCharge = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed";

struct Case {
  const char* name;
  State state;
  void (*prepare)(World&);
};

// How the car is brought into each state that an order passes through, and kept there.
const Case kCases[] = {
    {"offered", State::kOffered, [](World& world) { world.server.payload_status = 503; }},
    {"downloading", State::kDownloading,
     [](World& world) { world.server.break_payload_after = 20'000; }},
    {"downloaded", State::kDownloaded, [](World&) {}},
    {"waiting", State::kWaiting,
     [](World& world) { world.vehicle.signals[kCharge].assign(1, '5'); }},
    {"installing", State::kInstalling, [](World&) {}},
    {"activating", State::kActivating, [](World&) {}},
    {"confirming", State::kConfirming, [](World&) {}},
    {"rolling back", State::kRollingBack, [](World& world) { world.vehicle.fail_health = 1000; }},
};

void bring(World& world, const manifest::OrderId& id, State state) {
  REQUIRE(world.run(3600, [&] {
    const auto now = world.state(id);
    return now && (*now == state || *now == State::kDownloaded);
  }));
  if (world.state(id) == state) return;
  world.run(5);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, state, 600));
}

}  // namespace

TEST_CASE("files expire in every state of an order, and the car comes out of it by itself") {
  for (const Case& each : kCases) {
    DYNAMIC_SECTION(each.name) {
      World world;
      const auto id = order_software(world);
      each.prepare(world);
      bring(world, id, each.state);
      // The power is gone for a while; then all that the server has is expired.
      world.agent.reset();
      world.disk.restart(MemoryDisk::Survives::kOnlySynced, 7);
      world.vehicle.power_cut();
      world.clock.advance(kLongerThanMetadata);
      world.start();
      world.run(4 * 3600);
      REQUIRE(world.agent->record().poll_error.has_value());
      CHECK(world.agent->record().poll_error->code() == ErrorCode::kFreeze);
      CHECK(world.kept_software() != "damaged");
      // The server signs again, and nobody does anything to the car but to drive and park it.
      world.server.payload_status = 0;
      world.server.break_payload_after.reset();
      world.vehicle.fail_health = 0;
      world.vehicle.signals[kCharge].assign(2, '8');
      world.vehicle.park_locked();
      world.publish_function();  // signs the Image repository
      world.server.sign_director();
      const bool is_done = world.run(12 * 3600, [&] {
        world.exit_and_lock();
        return world.state(id) == State::kActive;
      });
      INFO("ended as " << to_string(world.state(id).value_or(State::kIdle)));
      CHECK(is_done);
      CHECK(world.kept_software() == "new");
      world.run(4 * 3600);
      const auto& error = world.agent->record().poll_error;
      INFO((error ? error->message() : ""));
      CHECK_FALSE(error.has_value());
    }
  }
}

TEST_CASE("a signed time past the expiry of the root moves no clock") {
  World world;
  world.run(60);
  const UnixSeconds before = world.agent->trusted_now();
  world.server.time_ahead = 30 * 365 * kDaySeconds;
  world.run(4 * 3600);
  CHECK(world.agent->trusted_now() < before + kDaySeconds);
  REQUIRE(world.agent->record().poll_error.has_value());
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kFreeze);
  world.server.time_ahead = 0;
  world.run(4 * 3600);
  CHECK_FALSE(world.agent->record().poll_error.has_value());
}
