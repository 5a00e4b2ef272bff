// A car that changes hands: what of its orders stays, what goes back, and who sees what (P1.10).
#include "server/shop/owner_change.h"

#include <catch2/catch.hpp>
#include <functional>

#include "server/fleet/ownership.h"
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
    CHECK(world.post(path, world.second_token).code() == "inherited");
    CHECK(world.post(path, world.owner_token).code() == "owner-only");
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
