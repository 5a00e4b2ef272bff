// The licence key is exchanged: cars get the next release of a function that names the next key.
#include <catch2/catch.hpp>
#include <utility>

#include "server/rollout/rollout_walk.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;

namespace {

constexpr const char* kFirst = "functions/adaptive-cruise/1.0.pkg";
constexpr const char* kNext = "functions/adaptive-cruise/2.0.pkg";

// A car with the function on, and a next licence key that nothing names yet.
struct Exchange : ReadyWorld {
  Exchange() {
    base.keys.next["licence"] = crypto::MemorySigner::generate();
    id = order_function("adaptive-cruise", owner_token).body["id"];
    car.obey();
    REQUIRE(order_state(id) == "active");
    REQUIRE(car.desired().empty());
    REQUIRE(order(id)["images"] == Json{kFirst});
  }
  void publish_next(Payload payload = Payload::kReady) {
    std::swap(base.keys.licence, base.keys.next["licence"]);
    publish(kNext, 2, payload);
    std::swap(base.keys.licence, base.keys.next["licence"]);
  }
  manifest::FunctionReport& said() { return car.functions.begin()->second; }
  bool is_offered() { return !car.desired().empty() && car.desired()[0]["images"] == Json{kNext}; }

  std::string id;
};

}  // namespace

TEST_CASE("a car gets the release that names the next licence key, for nothing (P1.5)") {
  Exchange world;
  REQUIRE(world.car.report().status == 200);
  CHECK(world.car.desired().empty());
  world.publish_next();
  REQUIRE(world.car.report().status == 200);
  REQUIRE(world.is_offered());
  // It opens under the key that this package names.
  CHECK(world.car.open(world.id).value()->counter == 2);
  CHECK(world.order_state(world.id) == "active");
  SECTION("and is done with it once it has both") {
    world.car.obey();
    CHECK(world.car.desired().empty());
    REQUIRE(world.car.report().status == 200);
    CHECK(world.car.desired().empty());
  }
  SECTION("a licence of the old key with the very number does not end it") {
    world.said().counter = 2;
    REQUIRE(world.car.report().status == 200);
    CHECK(world.is_offered());
    world.car.obey();
    CHECK(world.car.desired().empty());
  }
  CHECK(world.events("billing", world.id).size() == 1);
  CHECK(world.events("authorisation", world.id).size() == 1);
  world.check_audit();
}

TEST_CASE("a car with nothing to report is met by a walk through the fleet") {
  Exchange world;
  world.publish_next();
  const auto is_met = [&] {
    REQUIRE(*server::continue_walks(world.services, 1000) == server::Walks::kDone);
    return world.is_offered();
  };
  REQUIRE(server::begin_licence_key_walk_for(world.services, kFirst));
  CHECK(!is_met());
  SECTION("that begins when the payload is there") {
    REQUIRE(server::begin_licence_key_walk_for(world.services, kNext));
  }
  SECTION("or at the start") {
    REQUIRE(server::begin_licence_key_walk(world.services));
  }
  CHECK(is_met());
}

TEST_CASE("a function that a thief's licence has switched off comes back with the next key") {
  Exchange world;
  world.said().counter = 1'000'000'000;
  world.said().state = manifest::FunctionState::kRevoked;
  world.publish_next();
  REQUIRE(world.car.report().status == 200);
  CHECK(world.is_offered());
  world.car.obey();
  CHECK(world.car.desired().empty());
  CHECK(world.said().counter == 2);
}

TEST_CASE("no key is exchanged for a release that the car cannot have, or one without a new key") {
  Exchange world;
  SECTION("its payload is not made yet") {
    world.publish_next(ShopWorld::Payload::kMissing);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.car.desired().empty());
    world.publish_payload(kNext);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.is_offered());
  }
  SECTION("it is for other hardware") {
    std::swap(world.base.keys.licence, world.base.keys.next["licence"]);
    world.publish(kNext, 2, ShopWorld::Payload::kReady, "hu-5");
    std::swap(world.base.keys.licence, world.base.keys.next["licence"]);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.car.desired().empty());
  }
  SECTION("it names the same key") {
    world.publish(kNext, 2);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.car.desired().empty());
  }
}
