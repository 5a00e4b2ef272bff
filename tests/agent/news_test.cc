// When the car looks for news, and who is signed in (P2.4, P2.5).
#include <catch2/catch.hpp>

#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

// The server's word at pairing; the world's car was told 900 seconds.
constexpr std::int64_t kIntervalMin = 810, kIntervalMax = 990;  // a tenth more or less

// Time passes second by second, and no faster.
void pass(World& world, int seconds) {
  for (int i = 0; i < seconds; ++i) {
    while (!world.agent->step().value().idle) {
    }
    world.clock.advance(1);
  }
}

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

TEST_CASE(
    "looks out of turn come once in thirty seconds, however often they are asked for (P2.4)") {
  World world;
  world.vehicle.park_locked();
  world.run(60);
  const auto polls = [&] { return world.server.requests["/v1/vehicle"]; };
  const int before = polls();
  REQUIRE(before > 0);
  world.agent->check_now();
  pass(world, 1);
  const int of_one = polls() - before;
  REQUIRE(of_one > 0);
  SECTION("by somebody who does not let go of the button") {
    for (int i = 0; i < 58; ++i) {
      world.agent->check_now();
      pass(world, 1);
    }
    CHECK(polls() - before == 2 * of_one);  // now and after 30 seconds
    pass(world, 3);
    CHECK(polls() - before == 3 * of_one);  // the last wish is not forgotten
    pass(world, 120);
    CHECK(polls() - before == 3 * of_one);
  }
  SECTION("by a power that wavers") {
    const auto reports = world.server.reports().size();
    for (int i = 0; i < 60; ++i) {
      world.vehicle.drive();
      pass(world, 1);
      world.vehicle.park_locked();
      pass(world, 1);
    }
    CHECK(world.server.reports().size() <= reports + 1);
    CHECK(polls() - before <= 4 * of_one);
  }
}

namespace {

// The world's server, behind a gate that turns everybody away for a while and says for how long.
class Gate final : public Transport {
 public:
  explicit Gate(FakeServer& server) : server_(server) {}

  Result<HttpResponse> exchange(const HttpRequest& request, const BodySink& sink) override {
    ++requests;
    if (refusals == 0) return server_.exchange(request, sink);
    --refusals;
    HttpResponse response;
    response.status = status;
    response.headers["retry-after"] = "600";
    return response;
  }

  int refusals = 0, status = 503, requests = 0;

 private:
  FakeServer& server_;
};

}  // namespace

TEST_CASE("nobody hurries a server that has asked for patience (P2.4)") {
  World world;
  Gate gate(world.server);
  world.agent = Agent::open(world.disk, world.clock, gate, world.vehicle, world.options).value();
  world.vehicle.park_locked();
  world.run(60);
  gate.status = GENERATE(429, 503);
  SECTION("the answer to a look") {
    world.agent->check_now();
  }
  SECTION("the answer to a report") {
    world.vehicle.drive();
  }
  gate.refusals = 1;
  pass(world, 1);
  REQUIRE(gate.refusals == 0);
  const int asked = gate.requests;
  const auto id = order_function(world);
  for (int i = 0; i < 9; ++i) {
    world.vehicle.park_locked();
    world.agent->check_now();
    pass(world, 30);
    world.vehicle.drive();
    pass(world, 30);
  }
  CHECK(gate.requests == asked);
  CHECK(!world.state(id).has_value());
  pass(world, 70);
  CHECK(world.state(id).has_value());  // and what was asked for comes then
}
