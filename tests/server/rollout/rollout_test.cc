// Rollouts and consent (P2.1).
#include <catch2/catch.hpp>

#include "server/rollout/rollout_walk.h"
#include "tests/server/shop/map_store.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Method;
using State = manifest::OrderState;

namespace {

const std::string kConsent = "/v1/cars/" + std::string(kVin) + "/consents/software-updates";
const Json kText{{"language", "de"}, {"text_version", "2026-10"}};

struct Fleet : ReadyWorld {
  explicit Fleet(server::Store* store = nullptr) : ReadyWorld(store) {
    publish("software/hu-4/2.0.img", 2);
  }
  Answered roll_out(const std::string& state, const std::string& image = "software/hu-4/2.0.img") {
    return put("/v1/rollouts/spring", operator_token, {{"image", image}, {"state", state}});
  }
  std::vector<Json> software_orders() {
    std::vector<Json> found;
    const Answered all = get("/v1/cars/" + std::string(kVin) + "/orders", owner_token);
    for (const Json& order : all.body["orders"]) {
      if (order["kind"] == "software") found.push_back(order);
    }
    return found;
  }
};

}  // namespace

TEST_CASE("P2.1: software is offered only with consent; the consent says to what, by whom, when") {
  Fleet world;
  REQUIRE(world.roll_out("running").status == 201);
  REQUIRE(world.car.report().status == 200);
  CHECK(world.software_orders().empty());
  CHECK(world.put(kConsent, world.second_token, kText).status == 404);
  CHECK(world.put(kConsent, world.partner_token, kText).code() == "owner-only");
  REQUIRE(world.put(kConsent, world.owner_token, kText).status == 200);
  const Json given = world.get(kConsent, world.owner_token).body;
  CHECK(given["state"] == "given");
  CHECK(given["language"] == "de");
  CHECK(given["text_version"] == "2026-10");
  CHECK(given["who"] == world.owner);
  CHECK(given["at"] == "2026-11-22T06:00:00Z");
  REQUIRE(world.software_orders().size() == 1);  // the car had reported before
  CHECK(world.software_orders()[0]["state"] == "staged");
  world.car.obey();
  CHECK(world.software_orders()[0]["state"] == "active");
  REQUIRE(world.car.report().status == 200);
  CHECK(world.software_orders().size() == 1);
  CHECK(world.events("billing").empty());
  world.check_audit();
}

TEST_CASE("P2.1: withdrawing stops what is not downloaded; what is downloaded can be installed") {
  Fleet world;
  REQUIRE(world.roll_out("running").status == 201);
  REQUIRE(world.put(kConsent, world.owner_token, kText).status == 200);
  const std::string id = world.software_orders().at(0)["id"];
  SECTION("not downloaded") {
    REQUIRE(world.call(Method::kDelete, kConsent, world.owner_token).status == 200);
    CHECK(world.order_state(id) == "cancelled");
    CHECK(world.car.desired().empty());
    REQUIRE(world.car.report().status == 200);
    CHECK(world.software_orders().size() == 1);
    REQUIRE(world.put(kConsent, world.owner_token, kText).status == 200);
    CHECK(world.software_orders().size() == 2);
  }
  SECTION("downloaded") {
    world.car.say(id, State::kDownloaded);
    REQUIRE(world.car.report().status == 200);
    REQUIRE(world.call(Method::kDelete, kConsent, world.owner_token).status == 200);
    CHECK(world.order_state(id) == "downloaded");
    world.car.obey();
    CHECK(world.order_state(id) == "active");
    world.publish("software/hu-4/3.0.img", 3);
    REQUIRE(world.roll_out("running", "software/hu-4/3.0.img").status == 200);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.software_orders().size() == 1);
  }
  CHECK(world.get(kConsent, world.owner_token).body["state"] != "none");
}

TEST_CASE("a rollout reaches a late car, and no car that it does not fit or that declined it") {
  Fleet world;
  REQUIRE(world.put(kConsent, world.owner_token, kText).status == 200);
  REQUIRE(world.roll_out("paused").status == 201);
  REQUIRE(world.car.report().status == 200);
  CHECK(world.software_orders().empty());
  REQUIRE(world.roll_out("running").status == 200);
  SECTION("other hardware, other software") {
    SimCar other(world, kOtherVin, "hu-9");
    world.register_car(other);
    other.pair(world.owner_token);
    other.install("software/hu-9/1.0.img", 1);
    REQUIRE(world
                .put("/v1/cars/" + std::string(kOtherVin) + "/consents/software-updates",
                     world.owner_token, kText)
                .status == 200);
    REQUIRE(other.report().status == 200);
    CHECK(other.desired().empty());
  }
  SECTION("newer software") {
    world.car.install("software/hu-4/5.0.img", 5);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.software_orders().empty());
  }
  SECTION("declined by the owner") {
    REQUIRE(world.car.report().status == 200);
    const std::string id = world.software_orders().at(0)["id"];
    REQUIRE(world.post("/v1/orders/" + id + "/cancel", world.owner_token).status == 200);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.software_orders().size() == 1);
  }
  SECTION("failed in this car") {
    REQUIRE(world.car.report().status == 200);
    world.car.say(world.software_orders().at(0)["id"], State::kFailed);
    REQUIRE(world.car.report().status == 200);
    REQUIRE(world.car.report().status == 200);
    CHECK(world.software_orders().size() == 1);
    CHECK(world.software_orders()[0]["state"] == "failed");
  }
  CHECK(world.roll_out("running", "software/hu-4/nothing.img").status == 404);
  CHECK(world.roll_out("running", "maps/DE/2.tar").status == 400);
  CHECK(world.get("/v1/rollouts", world.operator_token).body["rollouts"].size() == 1);
}

TEST_CASE("pausing a rollout takes effect at once, also between a report's reads and its commit") {
  MapStore map;
  MeddlingStore store(map);
  Fleet world(&store);
  REQUIRE(world.put(kConsent, world.owner_token, kText).status == 200);
  REQUIRE(world.roll_out("running").status == 201);
  store.before_commit = [&] { REQUIRE(world.roll_out("paused").status == 200); };
  REQUIRE(world.car.report().status == 200);
  CHECK(world.software_orders().empty());
}

TEST_CASE("a rollout that is started reaches cars that have no news, once, across a restart") {
  Fleet world;
  REQUIRE(world.put(kConsent, world.owner_token, kText).status == 200);
  SimCar other(world, kOtherVin);
  world.register_car(other);
  other.pair(world.owner_token);
  other.install("software/hu-4/1.0.img", 1);
  REQUIRE(other.report().status == 200);  // without consent
  REQUIRE(world.roll_out("running").status == 201);
  CHECK(world.software_orders().empty());
  // Stopped behind the first car, it goes on with the second.
  CHECK(*server::continue_walks(world.services, 1) == server::Walks::kMoreToDo);
  REQUIRE(world.services.store.scan("row/", "row0", 10)->size() == 1);
  CHECK(world.services.store.scan("row/", "row0", 10)->front().value == kVin);
  CHECK(*server::continue_walks(world.services, 1000) == server::Walks::kDone);
  CHECK(world.services.store.scan("row/", "row0", 10)->empty());
  CHECK(world.software_orders().size() == 1);
  CHECK(other.desired().empty());
  REQUIRE(world.roll_out("running").status == 200);
  CHECK(*server::continue_walks(world.services, 1000) == server::Walks::kDone);
  CHECK(world.software_orders().size() == 1);
}
