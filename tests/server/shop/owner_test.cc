// A car that changes hands: what of its orders stays, what goes back, and who sees what (P1.10).
#include "server/shop/owner_change.h"

#include <catch2/catch.hpp>
#include <functional>

#include "base/time_text.h"
#include "server/fleet/ownership.h"
#include "server/shop/order.h"
#include "server/store/change.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using State = manifest::OrderState;

namespace {

void in_affairs(ReadyWorld& world, const std::function<Result<void>(server::CarAffairs&)>& what) {
  const auto vin = *manifest::Vin::parse(kVin);
  REQUIRE(
      server::commit_with_retry(world.services.store, [&](server::Change& change) -> Result<void> {
        auto affairs = TRY(server::CarAffairs::begin(world.services, change, vin, world.owner));
        return what(affairs);
      }));
}

void hand_over(ReadyWorld& world) {
  const Answered given =
      world.post("/v1/cars/" + std::string(kVin) + "/hand-over", world.owner_token);
  INFO(given.text);
  REQUIRE(given.status == 200);
  in_affairs(world, [&](server::CarAffairs& affairs) -> Result<void> {
    server::begin_ownership(affairs, world.second);
    return {};
  });
}

std::string order(ReadyWorld& world, const std::string& name, const Json& changes) {
  world.sell(name, changes);
  const Answered placed = world.order_function(name, world.owner_token);
  REQUIRE(placed.status == 201);
  return placed.body["id"];
}

const Json kMonthly{{"term", {{"kind", "subscription"}}}};

}  // namespace

TEST_CASE("P1.10: what is active stays, what is on its way goes back, terms run on and end") {
  ReadyWorld world;
  const std::string ever = order(world, "ever", Json::object());
  const std::string month = order(world, "month", kMonthly);
  world.car.obey();
  const std::string had = order(world, "had", Json::object());
  world.car.say(had, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  const std::string coming = order(world, "coming", Json::object());
  hand_over(world);
  CHECK(world.order_state(ever) == "active");
  CHECK(world.order_state(month) == "active");
  CHECK(world.order_state(had) == "cancelling");
  CHECK(world.order_state(coming) == "cancelled");
  CHECK(world.events("refund").size() == 2);
  CHECK(world.events("refund", ever).empty());
  world.car.obey();
  CHECK(world.order_state(had) == "refunded");
  // Nothing renews on the old owner's account.
  world.go_to("2026-12-22T06:00:00Z");
  CHECK(world.events("authorisation", month).size() == 1);
  CHECK(world.order_state(month) == "expired");
  world.car.obey();
  CHECK(world.order_state(month) == "ended");
  CHECK(world.order_state(ever) == "active");
  world.check_audit();
}

TEST_CASE("P1.10: the new owner sees product, state and term, nobody's money and nobody's name") {
  ReadyWorld world;
  const std::string month = order(world, "month", kMonthly);
  world.car.obey();
  hand_over(world);
  const Json seen = world.get("/v1/orders/" + month, world.second_token).body;
  CHECK(seen["product"] == "month");
  CHECK(seen["state"] == "active");
  CHECK(seen["active_until"] == "2026-12-22T06:00:00Z");
  for (const char* hidden : {"amount_cents", "money", "periods", "history", "next_charge"})
    CHECK_FALSE(seen.contains(hidden));
  CHECK_THAT(seen.dump(), !Catch::Contains(world.owner));
  const Json list =
      world.get("/v1/cars/" + std::string(kVin) + "/orders", world.second_token).body["orders"];
  REQUIRE(list.size() == 1);
  CHECK(list[0] == seen);
  // It is not the new owner's to cancel, withdraw or renew, and the old owner has gone.
  for (const char* what : {"cancel", "withdraw", "renew"}) {
    const std::string path = "/v1/orders/" + month + "/" + what;
    CHECK(world.post(path, world.second_token, nullptr, what).code() == "inherited");
    CHECK(world.post(path, world.owner_token, nullptr, what).code() == "owner-only");
  }
  CHECK(world.get("/v1/orders/" + month, world.owner_token).status == 404);
  // What it orders itself, it sees whole.
  world.sell("own");
  const Answered own = world.order_function("own", world.second_token);
  REQUIRE(own.status == 201);
  CHECK(world.get("/v1/orders/" + own.body["id"].get<std::string>(), world.second_token)
            .body.contains("amount_cents"));
}

TEST_CASE("P1.10: owner_leaves said twice does what it does once") {
  ReadyWorld world;
  const std::string coming = order(world, "coming", Json::object());
  hand_over(world);
  const auto leave = [&](server::CarAffairs& affairs) {
    return server::owner_leaves(affairs, world.owner);
  };
  in_affairs(world, leave);
  const Answered once = world.get("/v1/events?limit=1000", world.operator_token);
  in_affairs(world, leave);
  CHECK(world.get("/v1/events?limit=1000", world.operator_token).text == once.text);
  CHECK(world.order_state(coming) == "cancelled");
  CHECK(world.deadlines_of(coming) == 0);
}

TEST_CASE("P1.10: what was activating when the car changed hands, and rolls back, goes back too") {
  ReadyWorld world;
  const std::string id = order(world, "late", Json::object());
  world.car.say(id, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  world.car.take_licence(id);
  world.car.say(id, State::kActivating);
  REQUIRE(world.car.report().status == 200);
  REQUIRE(world.order_state(id) == "activating");
  hand_over(world);
  CHECK(world.order_state(id) == "activating");
  world.car.functions.clear();
  world.car.say(id, State::kRollingBack);
  REQUIRE(world.car.report().status == 200);
  world.car.say(id, State::kWaiting);
  REQUIRE(world.car.report().status == 200);
  CHECK(world.order_state(id) == "cancelling");
  CHECK(world.events("refund", id).size() == 1);
  CHECK(world.events("billing", id).empty());
  world.car.obey();
  CHECK(world.order_state(id) == "refunded");
  CHECK(world.order_function("late", world.second_token).status == 201);
  world.check_audit();
}

TEST_CASE("P1.10: a renewal that has not begun is not billed to the owner who has left") {
  ReadyWorld world;
  const std::string month = order(world, "month", kMonthly);
  world.car.obey();
  world.go_to("2026-12-21T06:00:00Z");  // one day's notice: January is ordered
  REQUIRE(world.events("authorisation", month).size() == 2);
  const bool has_licence = GENERATE(false, true);
  CAPTURE(has_licence);
  if (has_licence) world.car.take_licence(month);  // and has not said so yet
  hand_over(world);
  REQUIRE(world.events("refund", month).size() == 1);
  CHECK(world.events("refund", month)[0]["data"]["period"] == 2);
  CHECK(world.events("refund", month)[0]["data"]["of"] == "authorisation");
  CHECK(world.order(month)["active_until"] == "2026-12-22T06:00:00Z");
  REQUIRE(world.car.report().status == 200);
  CHECK(world.events("billing", month).size() == 1);
  world.car.obey();
  REQUIRE(world.car.report().status == 200);
  CHECK(*world.car.functions.at(*manifest::FunctionId::parse("month")).until ==
        *parse_utc("2026-12-22T06:00:00Z"));
  CHECK(world.events("billing", month).size() == 1);
  world.go_to("2026-12-22T06:00:00Z");
  CHECK(world.order_state(month) == "expired");
  CHECK(world.events("refund", month).size() == 1);
  CHECK(world.deadlines_of(month) == 0);
  world.check_audit();
}

TEST_CASE("P1.10: a secondary user sees no more of an inherited order than the new owner") {
  ReadyWorld world;
  const std::string ever = order(world, "ever", Json::object());
  world.car.obey();
  hand_over(world);
  const std::string family = world.new_account(server::Role::kOwner, "Carla");
  world.add_user(world.second_token, family);
  const std::string path = "/v1/orders/" + ever;
  const std::string list = "/v1/cars/" + std::string(kVin) + "/orders";
  const Json seen = world.get(path, family).body;
  CHECK(seen["state"] == "active");
  CHECK(seen == world.get(path, world.second_token).body);
  CHECK(world.get(list, family).body == world.get(list, world.second_token).body);
  for (const std::string& token : {family, world.second_token}) {
    const Json offers =
        world.get("/v1/cars/" + std::string(kVin) + "/offers", token).body["products"];
    for (const Json& offer : offers)
      if (offer.contains("order")) CHECK_FALSE(offer["order"].contains("since"));
  }
  // Of what the present owner ordered they see how it goes.
  world.sell("own");
  const Answered own = world.order_function("own", world.second_token);
  REQUIRE(own.status == 201);
  CHECK(world.get("/v1/orders/" + own.body["id"].get<std::string>(), family)
            .body.contains("history"));
}

TEST_CASE("P1.5, P1.10, P1.11: money and messages of an order are those of who placed it") {
  ReadyWorld world;
  const std::string track = order(world, "track", {{"protects", true}});
  const std::string month = order(world, "month", kMonthly);
  world.car.obey();
  for (const char* type : {"authorisation", "billing"}) {
    REQUIRE(world.events(type).size() == 2);
    for (const Json& event : world.events(type)) CHECK(event["account"] == world.owner);
  }
  const std::string late = order(world, "late", {{"protects", true}});
  world.car.say(late, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  const std::string stolen = "/v1/cars/" + std::string(kVin) + "/stolen";
  REQUIRE(world.post(stolen, world.operator_token).status == 200);
  hand_over(world);
  CHECK(world.events("refund").empty());
  // Found again: what was held back goes back now, to the owner before.
  REQUIRE(world.call(server::Method::kDelete, stolen, world.operator_token).status == 200);
  CHECK(world.order_state(late) == "cancelling");
  REQUIRE(world.events("refund").size() == 1);
  CHECK(world.events("refund")[0]["account"] == world.owner);
  const auto told = [&](const std::string& token, const std::string& id) {
    std::vector<std::string> found;
    const Answered list = world.get("/v1/messages?limit=1000", token);
    for (const Json& event : list.body["events"])
      if (event.value("order", "") == id) found.push_back(event["data"]["message"]);
    return found;
  };
  CHECK(told(world.owner_token, late) ==
        std::vector<std::string>{"ordered", "downloaded", "withdrawn", "refunded"});
  CHECK(told(world.second_token, late).empty());
  // What ends in the car concerns both.
  world.go_to("2026-12-22T06:00:00Z");
  world.car.obey();
  CHECK(world.order_state(month) == "ended");
  CHECK(told(world.second_token, month) == std::vector<std::string>{"expired", "ended"});
  const auto all = told(world.owner_token, month);
  CHECK(all.back() == "ended");
  // Nothing is written any more for who has gone for good.
  REQUIRE(world.call(server::Method::kDelete, "/v1/accounts/me", world.owner_token).status == 204);
  CHECK(world.events("message", track).size() == 4);
  const std::string box = "m/" + world.owner + "/";
  REQUIRE(world.post(stolen, world.operator_token).status == 200);
  REQUIRE(world.call(server::Method::kDelete, stolen, world.operator_token).status == 200);
  CHECK(world.services.store.scan(box, server::after_prefix(box), 10)->empty());
}

TEST_CASE("an order's record stays small, however often the car fails and tries again (P4.5)") {
  ReadyWorld world;
  const std::string id = order(world, "flip", Json::object());
  for (int n = 0; n < 100; ++n) {
    world.car.say(id, State::kDownloaded);
    REQUIRE(world.car.report().status == 200);
    world.car.say(id, State::kActivating);
    REQUIRE(world.car.report().status == 200);
  }
  const Json history = world.order(id)["history"];
  CHECK(history.size() == server::kHistoryFirst + server::kHistoryLast);
  CHECK(history[0]["state"] == "ordered");
  CHECK(history[1]["state"] == "staged");
  CHECK(history.back()["state"] == "activating");
  world.check_audit();
}
