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
  explicit Exchange(const Json& product = Json::object()) {
    if (!product.empty()) sell("adaptive-cruise", product);
    base.keys.next["licence"] = crypto::MemorySigner::generate();
    id = order_function("adaptive-cruise", owner_token).body["id"];
    car.obey();
    REQUIRE(order_state(id) == "active");
    REQUIRE(car.desired().empty());
    REQUIRE(order(id)["images"] == Json{kFirst});
  }
  void publish_next(Payload payload = Payload::kReady, const char* name = kNext,
                    std::uint64_t counter = 2) {
    std::swap(base.keys.licence, base.keys.next["licence"]);
    publish(name, counter, payload);
    std::swap(base.keys.licence, base.keys.next["licence"]);
  }
  manifest::FunctionReport& said() { return car.functions.begin()->second; }
  bool is_offered() { return !car.desired().empty() && car.desired()[0]["images"] == Json{kNext}; }

  bool is_told(const char* action) {
    return car.desired().size() == 1 && car.desired()[0]["action"] == action;
  }
  void offer_next() {
    publish_next();
    REQUIRE(car.report().status == 200);
    REQUIRE(is_offered());
  }
  void fail_to_install() {
    car.say(id, manifest::OrderState::kFailed);
    car.orders.at(id).error = manifest::ErrorReport{.code = 7, .name = "x", .text = "no room"};
    REQUIRE(car.report().status == 200);
  }
  void promote() {
    base.keys.former_licence.push_back(std::move(base.keys.licence));
    base.keys.licence = std::move(base.keys.next["licence"]);
    base.keys.next.clear();
  }
  void withdraw_order() {
    REQUIRE(post("/v1/orders/" + id + "/withdraw", owner_token).status == 200);
    REQUIRE(is_told("deactivate"));
  }

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
  SECTION("it leads back to the key that is being replaced") {
    world.publish_next();
    REQUIRE(world.car.report().status == 200);
    world.car.obey();
    REQUIRE(world.order(world.id)["images"] == Json{kNext});
    world.publish("functions/adaptive-cruise/3.0.pkg", 3);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.car.desired().empty());
  }
  SECTION("it names the same key") {
    world.publish(kNext, 2);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.car.desired().empty());
  }
}

TEST_CASE("a function that is given back while its key is exchanged is switched off (P1.7)") {
  Exchange world;
  world.offer_next();
  SECTION("by the key that the car knows") {
    world.withdraw_order();
  }
  SECTION("also when another took its place in the server meanwhile") {
    world.promote();
    world.withdraw_order();
  }
  SECTION("by the next one, when the car had begun") {
    world.withdraw_order();
    world.car.install(kNext, 2);
    world.said().counter = 2;
    REQUIRE(world.car.report().status == 200);
  }
  SECTION("by the next one, when the car kept its licence and the installation failed then") {
    world.said().counter = 2;
    world.car.obeys = kNext;
    SECTION("before") {
      world.fail_to_install();
      world.withdraw_order();
    }
    SECTION("after") {
      world.withdraw_order();
      world.fail_to_install();
    }
  }
  REQUIRE(world.is_told("deactivate"));
  const auto revoking = world.car.open(world.id);
  REQUIRE(revoking);
  CHECK((*revoking)->state == manifest::LicenceState::kRevoked);
  world.car.obey();
  CHECK(world.car.desired().empty());
  CHECK(world.said().state == manifest::FunctionState::kRevoked);
  CHECK(world.order_state(world.id) == "refunded");
  world.check_audit();
}

TEST_CASE("no licence is signed by a key that the car does not know") {
  Exchange world;
  world.promote();
  world.base.keys.former_licence.clear();
  CHECK(world.post("/v1/orders/" + world.id + "/withdraw", world.owner_token).status >= 400);
  CHECK(world.order_state(world.id) == "active");
}

TEST_CASE("an exchange that fails in the car is seen, and the next release takes its place") {
  constexpr const char* kThird = "functions/adaptive-cruise/3.0.pkg";
  Exchange world;
  world.offer_next();
  world.fail_to_install();
  CHECK(world.order(world.id)["error"]["text"] == "no room");
  CHECK(world.order_state(world.id) == "active");
  CHECK(world.is_offered());
  SECTION("at once where there is a newer one") {
    world.publish_next(ShopWorld::Payload::kMissing, kThird, 3);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.is_offered());
    world.publish_payload(kThird);
  }
  SECTION("later where it is withdrawn first") {
    world.withdraw(kNext);
    REQUIRE(world.car.report().status == 200);
    REQUIRE(world.is_told("licence"));
    REQUIRE(world.car.open(world.id));
    world.car.obey();
    CHECK(world.car.desired().empty());
    world.publish_next(ShopWorld::Payload::kReady, kThird, 3);
  }
  REQUIRE(world.car.report().status == 200);
  REQUIRE(world.is_told("install"));
  CHECK(world.car.desired()[0]["images"] == Json{kThird});
  world.car.obey();
  CHECK(world.car.desired().empty());
  CHECK(world.order(world.id)["images"] == Json{kThird});
  CHECK(!world.order(world.id).contains("error"));
  world.check_audit();
}

TEST_CASE("P1.8: a renewal does not wait for an exchange, and the exchange comes after it") {
  Exchange world({{"term", {{"kind", "subscription"}}}, {"price_cents", 999}});
  world.offer_next();
  SECTION("that failed") {
    world.fail_to_install();
  }
  SECTION("that failed behind the licence") {
    world.said().counter = 2;
    world.car.obeys = kNext;
    world.fail_to_install();
  }
  SECTION("that has not begun") {}
  world.go_to("2026-12-21T06:00:00Z");
  REQUIRE(world.is_told("licence"));
  REQUIRE(world.car.open(world.id));
  REQUIRE(world.car.report().status == 200);
  CHECK(world.is_told("licence"));
  world.car.take_licence(world.id);
  world.car.say(world.id, manifest::OrderState::kActive);
  REQUIRE(world.car.report().status == 200);
  CHECK(world.events("billing", world.id).size() == 2);
  REQUIRE(world.is_offered());
  world.car.obeys.clear();
  world.car.obey();
  CHECK(world.car.desired().empty());
  CHECK(world.order(world.id)["images"] == Json{kNext});
}

TEST_CASE("the fleet is walked through for a later release, where the first had no payload") {
  constexpr const char* kThird = "functions/adaptive-cruise/3.0.pkg";
  Exchange world;
  world.publish_next(ShopWorld::Payload::kMissing);
  world.publish_next(ShopWorld::Payload::kReady, kThird, 3);
  REQUIRE(server::begin_licence_key_walk_for(world.services, kThird));
  REQUIRE(*server::continue_walks(world.services, 1000) == server::Walks::kDone);
  CHECK(world.is_told("install"));
}
