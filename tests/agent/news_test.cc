// When the car looks for news, and who is signed in (P2.4, P2.5).
#include <catch2/catch.hpp>

#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

// The server's word at pairing; the world's car was told 900 seconds.
constexpr std::int64_t kIntervalMin = 810, kIntervalMax = 990;  // a tenth more or less

}  // namespace

TEST_CASE("the car looks for news at power-on, at its start and at the server's interval (P2.4)") {
  World world;
  world.vehicle.park_locked();
  world.run(60);
  UnixSeconds last = world.agent->record().poll_last;
  CHECK(last == kStart);  // at the start
  for (int i = 0; i < 5; ++i) {
    REQUIRE(world.run(kIntervalMax + 60, [&] { return world.agent->record().poll_last > last; }));
    const std::int64_t gap = world.agent->record().poll_last - last;
    CHECK(gap >= kIntervalMin);
    CHECK(gap <= kIntervalMax + 5);
    last = world.agent->record().poll_last;
  }
  const auto id = order_function(world);
  SECTION("power-on") {
    world.run(5);
    CHECK(!world.state(id).has_value());
    world.vehicle.drive();
    world.run(5);
    CHECK(world.state(id).has_value());
  }
  SECTION("a restart") {
    world.run(5);
    CHECK(!world.state(id).has_value());
    world.start();
    world.run(5);
    CHECK(world.state(id).has_value());
  }
  SECTION("a restart without a connection, and then one") {
    world.vehicle.signals[std::string(vss::kBearer)] = "none";
    world.start();
    world.run(60);
    CHECK(!world.state(id).has_value());
    world.vehicle.signals[std::string(vss::kBearer)] = "sim";
    world.run(5);
    CHECK(world.state(id).has_value());
  }
  SECTION("nothing but the interval") {
    world.run(kIntervalMax + 5);
    CHECK(world.state(id).has_value());
  }
}

TEST_CASE("who is signed in makes no difference to a download or an activation (P2.5)") {
  const auto live = [](const std::vector<std::string>& users) {
    auto world = std::make_unique<World>();
    const auto id = order_function(*world);
    std::size_t steps = 0;
    const auto sign_in = [&] {
      const std::string& user = users[steps++ % users.size()];
      if (user.empty())
        world->vehicle.signals.erase("Vehicle.Driver.Identifier.Subject");
      else
        world->vehicle.signals["Vehicle.Driver.Identifier.Subject"] = user;
      return false;
    };
    world->run(300, sign_in);
    world->exit_and_lock();
    world->run(300, sign_in);
    CHECK(world->state(id) == State::kActive);
    CHECK(steps > 4);
    return std::make_pair(world->vehicle.log, world->server.payload_bytes_sent);
  };
  const auto nobody = live({""});
  CHECK(live({"owner"}) == nobody);
  CHECK(live({"guest"}) == nobody);
  CHECK(live({"owner", "", "second", "guest"}) == nobody);
}

TEST_CASE("a bus that falls silent for a moment is no power-on (P2.4)") {
  World world;
  world.vehicle.drive();
  world.run(600);
  const auto reports = world.server.reports().size();
  for (int i = 0; i < 20; ++i) {
    const auto power = world.vehicle.signals.extract(std::string(vss::kPower));
    world.run(20);
    world.vehicle.signals[std::string(vss::kPower)] = power.mapped();
    world.run(20);
  }
  CHECK(world.server.reports().size() == reports);
  world.vehicle.park_locked();
  world.run(60);
  world.vehicle.drive();
  world.run(60);
  CHECK(world.server.reports().size() == reports + 1);
}
