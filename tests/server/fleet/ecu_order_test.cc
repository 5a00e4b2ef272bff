// Orders and rollouts of sets, where an image is withdrawn or an ECU exchanged meanwhile.
#include <catch2/catch.hpp>

#include "server/rollout/rollout_walk.h"
#include "tests/server/fleet/ecu_fleet.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Method;
using State = manifest::OrderState;
using Fleet = EcuFleet;

TEST_CASE("a set of which an image is withdrawn is offered to nobody, and blocks nothing") {
  Fleet fleet;
  REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
  REQUIRE(fleet.car.report().status == 200);
  const std::string id = fleet.orders().at(0);
  const auto say = [&](State state) {
    fleet.car.say(id, state);
    REQUIRE(fleet.car.report().status == 200);
  };
  fleet.publish_for_secondary("software/rad-1/3.img", 3);
  const auto next = [&] {
    fleet.car.orders.clear();
    REQUIRE(fleet.roll_out({kCamera, "software/rad-1/3.img"}).status == 200);
    REQUIRE(fleet.car.report().status == 200);
    return fleet.orders().size();
  };
  SECTION("before the car has it") {
    fleet.withdraw(kRadar);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.order_state(id) == "cancelled");
    CHECK(fleet.order(id)["history"].back()["cause"] == "obsolete");
    CHECK(fleet.car.desired().empty());
    CHECK(fleet.orders().size() == 1);  // not offered without that image
    CHECK(next() == 2);                 // the other image goes with the next one
  }
  SECTION("the car has downloaded it") {
    say(State::kDownloaded);
    fleet.withdraw(kRadar);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.order_state(id) == "failed");
    CHECK(fleet.car.desired().empty());
    CHECK(next() == 2);
  }
  SECTION("P4.4: the car has begun") {
    say(State::kActivating);
    fleet.withdraw(kRadar);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.order_state(id) == "activating");
    fleet.car.install_secondary(kCamera, 2);
    fleet.car.install_secondary(kRadar, 2);
    say(State::kActive);
    CHECK(fleet.order_state(id) == "active");
  }
  SECTION("what is withdrawn is not rolled out, and can still be paused") {
    fleet.withdraw(kRadar);
    CHECK(fleet.roll_out({kCamera, kRadar}).code() == "conflict");
    CHECK(fleet
              .put("/v1/rollouts/eyes", fleet.operator_token,
                   {{"images", {kCamera, kRadar}}, {"state", "paused"}})
              .status == 200);
  }
  fleet.check_audit();
}

TEST_CASE("what failed as a set is not offered again with all of it, and its parts are") {
  Fleet fleet;
  REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
  REQUIRE(fleet.car.report().status == 200);
  fleet.car.say(fleet.orders().at(0), State::kFailed);
  REQUIRE(fleet.car.report().status == 200);
  REQUIRE(fleet.car.report().status == 200);
  CHECK(fleet.orders().size() == 1);
  SECTION("one of its images by itself") {
    REQUIRE(fleet.roll_out({kCamera}).status == 200);
    REQUIRE(fleet.car.report().status == 200);
    REQUIRE(fleet.orders().size() == 2);
    fleet.car.say(fleet.orders().at(1), State::kFailed);
    REQUIRE(fleet.car.report().status == 200);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().size() == 2);
    REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 200);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().size() == 2);
  }
  SECTION("with a newer one of the other") {
    fleet.publish_for_secondary("software/rad-1/3.img", 3);
    REQUIRE(fleet.roll_out({kCamera, "software/rad-1/3.img"}).status == 200);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().size() == 2);
  }
  SECTION("once the broken ECU is exchanged") {
    fleet.base.clock.advance(3600);
    fleet.exchange_radar("RAD-2", "rad-1");
    fleet.car.install_secondary("software/rad-1/1.img", 1);
    REQUIRE(fleet.car.report().status == 200);
    REQUIRE(fleet.orders().size() == 2);
    CHECK(fleet.order(fleet.orders().at(1))["images"] == Json::array({kCamera, kRadar}));
  }
}

TEST_CASE("an order goes on for the ECU that comes in the place of another") {
  Fleet fleet;
  REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
  REQUIRE(fleet.car.report().status == 200);
  const std::string id = fleet.orders().at(0);
  const auto say = [&](State state) {
    fleet.car.say(id, state);
    REQUIRE(fleet.car.report().status == 200);
    return fleet.order_state(id);
  };
  fleet.base.clock.advance(3600);
  SECTION("of the same kind: it is for the new one") {
    fleet.exchange_radar("RAD-2", "rad-1");
    fleet.car.install_secondary("software/rad-1/1.img", 1);
    REQUIRE(fleet.car.report().status == 200);
    const server::DirectorPlan plan = fleet.plan();
    REQUIRE(plan.images.size() == 2);
    CHECK(plan.images[1].ecus.begin()->first.text() == "RAD-2");
    CHECK(say(State::kDownloaded) == "downloaded");
    fleet.car.install_secondary(kCamera, 2);
    fleet.car.install_secondary(kRadar, 2);
    CHECK(say(State::kActive) == "active");
  }
  SECTION("the car has done it with the old one: what the new one lacks is offered anew") {
    CHECK(say(State::kActivating) == "activating");
    fleet.exchange_radar("RAD-2", "rad-1");
    fleet.car.install_secondary(kCamera, 2);
    fleet.car.install_secondary("software/rad-1/1.img", 1);
    CHECK(say(State::kActive) == "failed");
    REQUIRE(fleet.orders().size() == 2);
    CHECK(fleet.order(fleet.orders().at(1))["images"] == Json::array({kRadar}));
    CHECK(fleet.plan().orders.size() == 1);
  }
  SECTION("the car has done it with the new one, which is silent just then") {
    fleet.exchange_radar("RAD-2", "rad-1");
    fleet.car.install_secondary("software/rad-1/1.img", 1);
    CHECK(say(State::kActivating) == "activating");
    fleet.car.install_secondary(kCamera, 2);
    fleet.car.install_secondary(kRadar, 2);
    fleet.car.secondaries.back().silent = "unavailable";
    CHECK(say(State::kActive) == "activating");
    fleet.car.secondaries.back().silent.clear();
    CHECK(say(State::kActive) == "active");
    CHECK(fleet.orders().size() == 1);
  }
  SECTION("of another kind: it ends, and nothing waits for it") {
    fleet.exchange_radar("RAD-2", "rad-5", {{"hardware_id", "rad-5"}});
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.order_state(id) == "cancelled");
    CHECK(fleet.orders().size() == 1);
    REQUIRE(fleet.roll_out({kCamera}).status == 200);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().size() == 2);
  }
  fleet.check_audit();
}

TEST_CASE("a new ECU is offered nothing before it has said what it runs") {
  Fleet fleet;
  fleet.base.clock.advance(3600);
  REQUIRE(fleet.authorise("CAM-2", {{"serial", "CAM-3"}}).status == 201);
  fleet.car.secondaries[1] = SimEcu("CAM-3", "cam-2");
  REQUIRE(fleet.name_ecus().status == 200);
  REQUIRE(fleet.roll_out({kCamera}).status == 201);
  while (*server::continue_walks(fleet.services, 10) == server::Walks::kMoreToDo) {
  }
  CHECK(fleet.orders().empty());
  SECTION("it is ahead of the others") {
    fleet.car.install_secondary(kCamera, 3);
    fleet.car.secondaries[0].installed->release_counter = 1;
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().empty());
  }
  SECTION("it is behind") {
    fleet.car.install_secondary("software/cam-2/1.img", 1);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().size() == 1);
  }
}

TEST_CASE(
    "P1.2: maps and functions are the primary's: what only another ECU could have is no offer") {
  EcuFleet fleet;
  fleet.publish("maps/DE/2.tar", 2, ShopWorld::Payload::kReady, "rad-1");
  CHECK(fleet.order_map({"DE"}, fleet.owner_token).status == 422);
  fleet.publish("functions/zoom/2.0.pkg", 2, ShopWorld::Payload::kReady, "cam-2");
  REQUIRE(fleet
              .put("/v1/catalogue/products/zoom", fleet.operator_token,
                   {{"title", {{"en", "x"}}},
                    {"image", "functions/zoom/2.0.pkg"},
                    {"price_cents", 0},
                    {"term", {{"kind", "unlimited"}}}})
              .status == 201);
  const Answered refused = fleet.order_function("zoom", fleet.owner_token);
  CHECK(refused.status == 422);
  CHECK(refused.body["reasons"][0]["rule"] == "hardware-id");
  fleet.publish("maps/DE/3.tar", 3);
  CHECK(fleet.order_map({"DE"}, fleet.owner_token).status == 201);
}
