// A car that is reported stolen, offers, and functions that exclude each other (P1.2, P1.12,
// P1.13).
#include <catch2/catch.hpp>

#include "base/time_text.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Method;
using State = manifest::OrderState;

namespace {

const std::string kStolen = "/v1/cars/" + std::string(kVin) + "/stolen";

std::string order(ReadyWorld& world, const std::string& name, Json changes) {
  world.sell(name, changes);
  const Answered placed = world.order_function(name, world.owner_token);
  REQUIRE(placed.status == 201);
  return placed.body["id"];
}

std::string word(ReadyWorld& world, const std::string& id, const char* what) {
  return world.post("/v1/orders/" + id + "/" + what, world.owner_token).code();
}

Json offer_of(ReadyWorld& world, const std::string& token, const std::string& product) {
  const Answered all = world.get("/v1/cars/" + std::string(kVin) + "/offers", token);
  for (const Json& offer : all.body["products"]) {
    if (offer["product"]["id"] == product) return offer;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("P1.12: what protects a stolen car is neither cancelled, withdrawn nor sold") {
  ReadyWorld world;
  const std::string tracker = order(world, "tracker", {{"protects", true}});
  const std::string plain = order(world, "plain", Json::object());
  world.sell("alarm", {{"protects", true}});
  REQUIRE(world.post(kStolen, world.owner_token).status == 200);
  CHECK(world.post(kStolen, world.partner_token).body["since"] == "2026-11-22T06:00:00Z");
  CHECK(world.messages().back() == "reported-stolen");
  for (const char* what : {"cancel", "withdraw"})
    CHECK(word(world, tracker, what) == "reported-stolen");
  CHECK(world.order_function("alarm", world.owner_token).code() == "reported-stolen");
  CHECK(offer_of(world, world.owner_token, "alarm")["reasons"][0]["rule"] == "stolen");
  CHECK(world.deadlines_of(tracker) == 0);
  world.go_to("2026-12-20T06:00:00Z");
  CHECK(world.order_state(tracker) == "staged");   // its window is held open
  CHECK(world.order_state(plain) == "cancelled");  // nobody else's
  world.car.obey();
  CHECK(world.order_state(tracker) == "active");
  CHECK(world.call(Method::kDelete, kStolen, world.operator_token).status == 200);
  CHECK(world.call(Method::kDelete, kStolen, world.owner_token).status == 200);
  CHECK(world.messages().back() == "report-lifted");
  CHECK(world.order_function("alarm", world.owner_token).status == 201);
  world.check_audit();
}

TEST_CASE("P1.12: lifted, a window that is over cancels at once") {
  ReadyWorld world;
  const std::string tracker = order(world, "tracker", {{"protects", true}});
  REQUIRE(world.post(kStolen, world.owner_token).status == 200);
  world.go_to("2027-01-10T06:00:00Z");
  CHECK(world.call(Method::kDelete, kStolen, world.owner_token).status == 200);
  CHECK(world.order_state(tracker) == "cancelled");
  CHECK(world.events("refund", tracker).size() == 1);
}

TEST_CASE("P1.12: a term that would end is extended while the car is gone, and then ends") {
  ReadyWorld world;
  const std::string id =
      order(world, "tracker", {{"protects", true}, {"term", {{"kind", "fixed"}, {"days", 30}}}});
  world.car.obey();
  REQUIRE(world.post(kStolen, world.operator_token).status == 200);
  world.go_to("2026-12-21T06:00:00Z");
  CHECK(world.order(id)["active_until"] == "2027-01-19T06:00:00Z");
  REQUIRE(world.car.desired().size() == 1);
  CHECK(world.car.desired()[0]["action"] == "licence");
  world.car.obey();
  world.go_to("2027-01-18T06:00:00Z");
  world.car.obey();
  CHECK(world.order_state(id) == "active");
  CHECK(world.order(id)["active_until"] == "2027-02-16T06:00:00Z");
  CHECK(world.events("billing", id).size() == 1);
  CHECK(world.events("authorisation", id).size() == 1);
  REQUIRE(world.call(Method::kDelete, kStolen, world.owner_token).status == 200);
  CHECK(world.order_state(id) == "expired");
  world.car.obey();
  CHECK(world.order_state(id) == "ended");
  CHECK(world.deadlines_of(id) == 0);
  world.check_audit();
}

TEST_CASE("P1.12: a deactivation that is on its way waits until the report is lifted") {
  ReadyWorld world;
  const std::string id = order(world, "tracker", {{"protects", true}, {"withdrawal_days", 28}});
  world.car.obey();
  REQUIRE(world.post("/v1/orders/" + id + "/withdraw", world.owner_token).status == 200);
  CHECK(world.car.desired().size() == 1);
  REQUIRE(world.post(kStolen, world.owner_token).status == 200);
  CHECK(world.car.desired().empty());
  REQUIRE(world.call(Method::kDelete, kStolen, world.owner_token).status == 200);
  REQUIRE(world.car.desired().size() == 1);
  CHECK(world.car.desired()[0]["action"] == "deactivate");
  world.car.obey();
  CHECK(world.order_state(id) == "refunded");
  CHECK(world.events("refund", id).size() == 1);
}

TEST_CASE("P1.12: only the owner, partners and operators report a car stolen") {
  ReadyWorld world;
  CHECK(world.post(kStolen, world.second_token).status == 404);
  world.add_user(world.owner_token, world.second_token);
  CHECK(world.post(kStolen, world.second_token).code() == "owner-only");
}

TEST_CASE("P1.7: a tracking service can be withdrawn from in 28 local days, whatever its term") {
  ReadyWorld world;
  const std::string id =
      order(world, "tracker", {{"term", {{"kind", "subscription"}}}, {"withdrawal_days", 28}});
  world.car.obey();
  world.go_to("2026-12-20T05:59:59Z");
  CHECK(world.order(id)["withdraw_by"] == "2026-12-20T06:00:00Z");
  REQUIRE(word(world, id, "withdraw").empty());
  CHECK(world.order_state(id) == "cancelling");
  CHECK(world.events("refund", id)[0]["data"]["of"] == "billing");
  CHECK(world.deadlines_of(id) == 0);
}

TEST_CASE("P1.2: functions that exclude each other, in both directions, also while on their way") {
  ReadyWorld world;
  world.sell("sport", {{"fit", {{"excludes", {"function.comfort"}}}}});
  world.sell("comfort");
  SECTION("what excludes comes second") {
    REQUIRE(world.order_function("comfort", world.owner_token).status == 201);
    CHECK(world.order_function("sport", world.owner_token).code() == "does-not-fit");
  }
  SECTION("what is excluded comes second") {
    REQUIRE(world.order_function("sport", world.owner_token).status == 201);
    const Answered refused = world.order_function("comfort", world.owner_token);
    CHECK(refused.code() == "does-not-fit");
    CHECK(refused.body["reasons"][0]["rule"] == "excludes");
    CHECK(offer_of(world, world.owner_token, "comfort")["fits"] == false);
  }
  world.car.obey();
  CHECK(world.order_function("comfort", world.owner_token).status != 201);
}

TEST_CASE("P1.13: offers show what fits, what is on its way, what is active and until when") {
  ReadyWorld world;
  const std::string id = order(world, "month", {{"term", {{"kind", "subscription"}}}});
  CHECK(offer_of(world, world.owner_token, "month")["order"]["state"] == "staged");
  world.car.obey();
  const Json offer = offer_of(world, world.owner_token, "month");
  CHECK(offer["active"] == true);
  CHECK(offer["active_until"] == "2026-12-22T06:00:00Z");
  CHECK(offer["order"]["id"] == id);
  CHECK(offer_of(world, world.owner_token, "adaptive-cruise").contains("order") == false);
}
