// Money moves on the car's word, once, or goes back, once (P1.5, P1.6, P1.7); what the car says is
// believed only where its report bears it out.
#include <catch2/catch.hpp>

#include "server/fleet/idempotency.h"
#include "server/shop/entitlement.h"
#include "server/shop/sweep.h"
#include "tests/server/shop/map_store.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using State = manifest::OrderState;

namespace {

std::string order_cruise(ReadyWorld& world) {
  const Answered order = world.order_function("adaptive-cruise", world.owner_token);
  INFO(order.text);
  REQUIRE(order.status == 201);
  return order.body["id"];
}

void say(ReadyWorld& world, const std::string& order, State state) {
  world.car.say(order, state);
  REQUIRE(world.car.report().status == 200);
}

Answered cancel(ReadyWorld& world, const std::string& order) {
  return world.post("/v1/orders/" + order + "/cancel", world.owner_token);
}

Answered withdraw(ReadyWorld& world, const std::string& order) {
  return world.post("/v1/orders/" + order + "/withdraw", world.owner_token);
}

}  // namespace

TEST_CASE("P1.5: authorised at ordering, billed once when the car has reported the activation") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  REQUIRE(world.events("authorisation", id).size() == 1);
  CHECK(world.events("authorisation", id)[0]["data"]["amount_cents"] == 49900);
  say(world, id, State::kDownloading);
  say(world, id, State::kDownloaded);
  CHECK(world.events("billing").empty());
  const auto licence = world.car.open(id);
  REQUIRE(licence);
  world.car.install("functions/adaptive-cruise/1.0.pkg", 1);
  world.car.functions[(*licence)->function] = {.counter = (*licence)->counter,
                                               .state = manifest::FunctionState::kActive,
                                               .until = std::nullopt};
  say(world, id, State::kInstalling);
  CHECK(world.events("billing").empty());
  world.car.say(id, State::kActive);
  const Bytes last = world.car.new_manifest();
  for (int times = 0; times < 3; ++times) {
    const Answered taken = world.car.post(last);
    CHECK(taken.status == 200);
    CHECK(taken.body["acknowledged"] == world.car.counter);
  }
  REQUIRE(world.car.report().status == 200);
  CHECK(world.events("billing", id).size() == 1);
  CHECK(world.events("refund").empty());
  CHECK(world.order_state(id) == "active");
  CHECK(world.car.desired().empty());
  CHECK(cancel(world, id).code() == "too-late");
  world.check_audit();
}

TEST_CASE("an old manifest is a replay and moves nothing") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  world.car.say(id, State::kDownloading);
  const Bytes old = world.car.new_manifest();
  REQUIRE(world.car.post(old).status == 200);
  say(world, id, State::kDownloaded);
  const Answered replayed = world.car.post(old);
  CHECK(replayed.status == 409);
  CHECK(replayed.code() == "replay");
  CHECK(world.order_state(id) == "downloaded");
  // Signed by nobody whom the server knows.
  const auto honest = world.car.key;
  world.car.key = crypto::MemorySigner::generate();
  CHECK(world.car.report().code() == "bad-manifest");
  world.car.key = honest;
  // Without the car's certificate it is nobody's.
  world.car.certificate.fingerprint[0] ^= 1;
  CHECK(world.car.report().status == 401);
}

TEST_CASE("P1.5: active is not believed without the licence and the image") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  say(world, id, State::kActive);  // no licence was ever issued
  CHECK(world.order_state(id) == "staged");
  say(world, id, State::kDownloaded);
  say(world, id, State::kActive);  // nothing is installed
  CHECK(world.order_state(id) == "downloaded");
  world.car.install("functions/adaptive-cruise/1.0.pkg", 1);
  say(world, id, State::kActive);  // and still no licence in it
  CHECK(world.order_state(id) == "downloaded");
  CHECK(world.get("/v1/orders/" + id, world.owner_token).body["error"]["name"] ==
        "licence-refused");
  CHECK(world.events("billing").empty());
  world.car.obey();
  CHECK(world.order_state(id) == "active");
  CHECK(world.events("billing").size() == 1);
}

TEST_CASE("P1.6: not downloaded within 28 days, it cancels itself, with one refund") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  const UnixSeconds due = world.base.clock.now() + 28 * kDaySeconds;
  say(world, id, State::kDownloading);
  world.base.clock.advance(28 * kDaySeconds - 1);
  const auto next = server::sweep_due(world.services, world.base.clock.now());
  REQUIRE(next);
  CHECK(*next == due);
  CHECK(world.order_state(id) == "downloading");
  world.base.clock.advance(1);
  world.sweep();
  world.sweep();
  CHECK(world.order_state(id) == "cancelled");
  REQUIRE(world.events("refund", id).size() == 1);
  CHECK(world.events("refund", id)[0]["data"]["amount_cents"] == 49900);
  CHECK(world.events("refund", id)[0]["data"]["of"] == "authorisation");
  CHECK(world.messages(id) ==
        std::vector<std::string>{"ordered", "reminder", "cancelled", "refunded"});
  CHECK(world.car.desired().empty());
  // The car that comes back later gets nothing, whatever it says.
  say(world, id, State::kDownloaded);
  say(world, id, State::kActive);
  CHECK(world.order_state(id) == "cancelled");
  CHECK(world.events("billing").empty());
  CHECK(world.events("refund").size() == 1);
  CHECK(world.car.desired().empty());
  world.check_audit();
}

TEST_CASE("P1.6: once downloaded, the window no longer matters") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  world.base.clock.advance(28 * kDaySeconds - 1);
  say(world, id, State::kDownloaded);
  world.base.clock.advance(300 * kDaySeconds);
  world.sweep();
  CHECK(world.order_state(id) == "downloaded");
  CHECK(cancel(world, id).code() == "too-late");
  world.car.obey();
  CHECK(world.services.store.scan("d/", "d0", 10)->empty());
}

TEST_CASE("P1.6: a report after the window counts for nothing, also when the sweep is late") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  world.base.clock.advance(28 * kDaySeconds);
  say(world, id, State::kDownloaded);
  CHECK(world.order_state(id) == "cancelled");
  world.sweep();
  CHECK(world.events("refund", id).size() == 1);
  CHECK_FALSE(world.car.open(id));
}

TEST_CASE("cancel and the report of the download meet: one commit decides") {
  MapStore map;
  MeddlingStore store(map);
  ReadyWorld world(&store);
  const std::string id = order_cruise(world);
  SECTION("the report is faster") {
    store.before_commit = [&] { say(world, id, State::kDownloaded); };
    CHECK(cancel(world, id).code() == "too-late");
    world.car.obey();
    CHECK(world.order_state(id) == "active");
    CHECK(world.events("billing").size() == 1);
    CHECK(world.events("refund").empty());
  }
  SECTION("the owner is faster") {
    world.car.say(id, State::kDownloaded);
    store.before_commit = [&] { REQUIRE(cancel(world, id).status == 200); };
    REQUIRE(world.car.report().status == 200);
    CHECK(world.order_state(id) == "cancelled");
    CHECK_FALSE(world.car.open(id));
    CHECK(world.events("billing").empty());
    CHECK(world.events("refund").size() == 1);
  }
  SECTION("the sweep and the last report") {
    world.base.clock.advance(28 * kDaySeconds - 1);
    world.car.say(id, State::kDownloaded);
    const Bytes report = world.car.new_manifest();
    world.base.clock.advance(1);
    store.before_commit = [&] { REQUIRE(world.car.post(report).status == 200); };
    world.sweep();
    CHECK(world.order_state(id) == "cancelled");
    CHECK(world.events("refund").size() == 1);
  }
  world.check_audit();
}

TEST_CASE("a failure ends the order with the car's code and gives the money back") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  say(world, id, State::kDownloaded);
  world.car.say(id, State::kWaiting);
  world.car.orders.at(id).error =
      manifest::ErrorReport{.code = 404, .name = "health-check-failed", .text = "no signal"};
  REQUIRE(world.car.report().status == 200);
  CHECK(world.order_state(id) == "downloaded");  // rolled back; it tries again
  CHECK(world.get("/v1/orders/" + id, world.owner_token).body["error"]["code"] == 404);
  world.car.orders.at(id).state = State::kFailed;
  REQUIRE(world.car.report().status == 200);
  const Json order = world.get("/v1/orders/" + id, world.owner_token).body;
  CHECK(order["state"] == "failed");
  CHECK(order["error"]["code"] == 404);
  CHECK(order["money"] == "returned");
  CHECK(world.events("refund").size() == 1);
  // Its licence had gone out: the car is told to switch off what may be there of it.
  REQUIRE(world.car.desired().size() == 1);
  CHECK(world.car.desired()[0]["action"] == "deactivate");
  CHECK(cancel(world, id).code() == "wrong-state");
  CHECK(world.messages(id) ==
        std::vector<std::string>{"ordered", "downloaded", "failed", "refunded"});
  // A new order's licence takes the place of that.
  const Answered again = world.order_function("adaptive-cruise", world.owner_token);
  REQUIRE(again.status == 201);
  say(world, again.body["id"], State::kDownloaded);
  REQUIRE(world.car.desired().size() == 1);
  CHECK(world.car.desired()[0]["id"] == again.body["id"]);
}

TEST_CASE("P1.5: an order that failed after it had its licence: that licence is revoked") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  say(world, id, State::kDownloaded);
  const auto licence = world.car.open(id);
  REQUIRE(licence);
  say(world, id, State::kFailed);
  REQUIRE(world.events("refund", id).size() == 1);
  const auto revoking = world.car.open(id);
  REQUIRE(revoking);
  CHECK((*revoking)->state == manifest::LicenceState::kRevoked);
  CHECK((*revoking)->counter == (*licence)->counter + 1);
  REQUIRE(world.car.desired().size() == 1);
  CHECK(world.car.desired()[0]["action"] == "deactivate");
  say(world, id, State::kFailed);  // the same again, before it has asked for news
  CHECK(world.car.desired().size() == 1);

  SECTION("the car that cheats with the licence keeps being told") {
    world.car.functions[(*licence)->function] = {.counter = (*licence)->counter,
                                                 .state = manifest::FunctionState::kActive,
                                                 .until = std::nullopt};
    say(world, id, State::kRefused);
    CHECK(world.car.desired().size() == 1);
    world.car.obey();
    CHECK(world.car.desired().empty());
  }
  SECTION("the car that has nothing to switch off refuses, and that settles it") {
    say(world, id, State::kRefused);
    CHECK(world.car.desired().empty());
  }
  SECTION("a car with new keys is sent it anew") {
    SimCar renewed(world, kVin);
    renewed.pair(world.owner_token);
    CHECK_FALSE(renewed.open(id));
    renewed.say(id, State::kFailed);
    REQUIRE(renewed.report().status == 200);
    CHECK(renewed.open(id));
    renewed.obey();
    CHECK(renewed.desired().empty());
  }
  SECTION("bought again, the newer licence takes its place") {
    const std::string next = order_cruise(world);
    CHECK(world.car.desired().size() == 2);
    say(world, next, State::kDownloaded);
    REQUIRE(world.car.desired().size() == 1);
    CHECK(world.car.desired()[0]["id"] == next);
    CHECK((*world.car.open(next))->counter == (*revoking)->counter + 1);
    world.car.obey();
    CHECK(world.order_state(next) == "active");
    say(world, id, State::kDeactivated);  // an old word
    CHECK(world.order_state(next) == "active");
  }
  CHECK(world.order_state(id) == "failed");
  CHECK(world.events("refund", id).size() == 1);
  CHECK(world.events("billing", id).empty());
  world.check_audit();
}

TEST_CASE("P1.7: withdrawn before the activation, the car has nothing to switch off") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  say(world, id, State::kDownloaded);
  REQUIRE(withdraw(world, id).status == 200);
  say(world, id, State::kRefused);  // of the deactivation: no such function runs
  CHECK(world.order_state(id) == "refunded");
  CHECK(world.car.desired().empty());
  CHECK(world.order_function("adaptive-cruise", world.owner_token).status == 201);
}

TEST_CASE("a report from a time that cannot be is dropped, or not believed of the order") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  SECTION("far ahead: nothing of it counts, and its counter is not used up") {
    world.car.say(id, State::kDownloaded);
    world.car.clock_ahead = kDaySeconds + 1;
    const Bytes ahead = world.car.new_manifest();
    const Answered refused = world.car.post(ahead);
    CHECK(refused.status == 422);
    CHECK(refused.code() == "bad-manifest");
    CHECK(world.order_state(id) == "staged");
    --world.car.counter;
    world.car.clock_ahead = kDaySeconds;
    CHECK(world.car.report().status == 200);
    CHECK(world.order_state(id) == "downloaded");
    world.base.clock.advance(kDaySeconds);  // the time has come, the counter has gone
    CHECK(world.car.post(ahead).code() == "replay");
  }
  SECTION("before the order: the rest of the report counts") {
    world.car.say(id, State::kDownloaded);
    world.car.clock_ahead = -3601;
    REQUIRE(world.car.report().status == 200);
    CHECK(world.order_state(id) == "staged");
    CHECK(world.get("/v1/orders/" + id, world.owner_token).body["error"]["name"] ==
          "untrusted-time");
    world.car.clock_ahead = -3600;
    REQUIRE(world.car.report().status == 200);
    CHECK(world.order_state(id) == "downloaded");
  }
}

TEST_CASE("P1.7: an active function is withdrawn within 14 days and deactivated in the car") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  world.car.obey();
  world.base.clock.advance(14 * kDaySeconds - 1);
  REQUIRE(withdraw(world, id).status == 200);
  CHECK(withdraw(world, id).status == 200);
  CHECK(world.order_state(id) == "cancelling");
  REQUIRE(world.events("refund", id).size() == 1);
  CHECK(world.events("refund", id)[0]["data"]["of"] == "billing");
  const auto revoking = world.car.open(id);
  REQUIRE(revoking);
  CHECK((*revoking)->state == manifest::LicenceState::kRevoked);
  CHECK((*revoking)->counter == 2);
  say(world, id, State::kDeactivated);  // it still runs: not believed
  CHECK(world.order_state(id) == "cancelling");
  world.car.obey();
  CHECK(world.order_state(id) == "refunded");
  CHECK(world.events("refund").size() == 1);
  CHECK(world.events("billing").size() == 1);
  // Bought again, the next licence is above all of before.
  const std::string next = order_cruise(world);
  say(world, next, State::kDownloaded);
  const auto licence = world.car.open(next);
  REQUIRE(licence);
  CHECK((*licence)->counter == 3);
  world.check_audit();
}

TEST_CASE("P1.7: withdrawn before the activation, it is never billed, even if the car activates") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  say(world, id, State::kDownloaded);
  const auto licence = world.car.open(id);
  REQUIRE(licence);
  REQUIRE(withdraw(world, id).status == 200);
  world.car.install("functions/adaptive-cruise/1.0.pkg", 1);
  world.car.functions[(*licence)->function] = {.counter = (*licence)->counter,
                                               .state = manifest::FunctionState::kActive,
                                               .until = std::nullopt};
  say(world, id, State::kActive);  // it was faster than the news
  CHECK(world.order_state(id) == "cancelling");
  CHECK(world.events("billing").empty());
  world.car.obey();
  CHECK(world.order_state(id) == "refunded");
  CHECK(world.events("billing").empty());
  CHECK(world.events("refund").size() == 1);
}

TEST_CASE("P1.7: the window is 14 days, or the product's longer one; only unlimited functions") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  world.base.clock.advance(14 * kDaySeconds);
  CHECK(withdraw(world, id).code() == "too-late");
  world.sell("tracker", {{"withdrawal_days", 28}});
  const std::string tracker = world.order_function("tracker", world.owner_token).body["id"];
  world.base.clock.advance(28 * kDaySeconds - 1);
  CHECK(withdraw(world, tracker).status == 200);
  CHECK(world.order_state(tracker) == "cancelled");  // it had not been downloaded
  world.sell("seats", {{"term", {{"kind", "fixed"}, {"days", 365}}}});
  const std::string seats = world.order_function("seats", world.owner_token).body["id"];
  CHECK(withdraw(world, seats).code() == "not-withdrawable");
}

TEST_CASE("P1.4: a fixed term and a month end in the licence; an inclusive period costs nothing") {
  ReadyWorld world;
  world.base.clock.advance(70 * kDaySeconds);  // 2027-01-31
  const auto until_of = [&](const Json& term, std::uint64_t cents) {
    const std::string id = "f" + std::to_string(++world.keys_made);
    world.sell(id, {{"term", term}, {"price_cents", cents}});
    const std::string order = world.order_function(id, world.owner_token).body["id"];
    world.car.obey();
    const Json got = world.get("/v1/orders/" + order, world.owner_token).body;
    CHECK(got["state"] == "active");
    CHECK(world.events("billing", order).size() == (cents > 0 ? 1 : 0));
    return got["active_until"].get<std::string>();
  };
  CHECK(until_of({{"kind", "fixed"}, {"days", 365}}, 100) == "2028-01-31T06:00:00Z");
  CHECK(until_of({{"kind", "subscription"}}, 100) == "2027-02-28T06:00:00Z");
  CHECK(until_of({{"kind", "inclusive"}, {"days", 90}}, 0) == "2027-05-01T05:00:00Z");
  CHECK(world
            .put("/v1/catalogue/products/gift", world.operator_token,
                 {{"title", {{"en", "x"}}},
                  {"image", "functions/gift/1.0.pkg"},
                  {"price_cents", 1},
                  {"currency", "EUR"},
                  {"term", {{"kind", "inclusive"}, {"days", 90}}}})
            .status == 400);
}

TEST_CASE(
    "P1.10, P2.6: a car that has lost its storage gets what was paid for again, for nothing") {
  ReadyWorld world;
  const auto vin = manifest::Vin::parse(kVin).value();
  const std::string id = order_cruise(world);
  world.car.obey();
  REQUIRE(world.order_state(id) == "active");
  const auto may_fetch = [&] {
    return server::may_fetch_payload(
               world.services, vin,
               crypto::sha256(as_bytes("payload of functions/adaptive-cruise/1.0.pkg")))
        .value();
  };
  CHECK_FALSE(may_fetch());
  // The same control unit, wiped in the workshop.
  SimCar wiped(world, kVin);
  wiped.pair(world.owner_token);
  CHECK_FALSE(may_fetch());
  REQUIRE(wiped.report().status == 200);
  REQUIRE(wiped.desired().size() == 1);
  CHECK(wiped.desired()[0]["action"] == "install");
  CHECK(wiped.desired()[0]["images"] == Json({"functions/adaptive-cruise/1.0.pkg"}));
  CHECK(wiped.open(id));
  CHECK(may_fetch());
  for (const State state : {State::kDownloading, State::kDownloaded, State::kActivating}) {
    wiped.say(id, state);
    REQUIRE(wiped.report().status == 200);
    CHECK(world.order_state(id) == "active");
    CHECK(wiped.desired()[0]["action"] == "install");
  }
  wiped.obey();
  CHECK(wiped.functions.begin()->second.state == manifest::FunctionState::kActive);
  CHECK(wiped.desired().empty());
  CHECK_FALSE(may_fetch());
  CHECK(world.order_state(id) == "active");
  CHECK(world.events("authorisation").size() == 1);
  CHECK(world.events("billing").size() == 1);
  CHECK(world.events("refund").empty());
  // Paired anew with everything in it, it gets a licence alone.
  SimCar same(world, kVin);
  same.installed = wiped.installed;
  same.pair(world.owner_token);
  REQUIRE(same.report().status == 200);
  REQUIRE(same.desired().size() == 1);
  CHECK(same.desired()[0]["action"] == "licence");
}

TEST_CASE("a car with new keys gets its licence sealed anew") {
  ReadyWorld world;
  const std::string id = order_cruise(world);
  say(world, id, State::kDownloaded);
  SimCar renewed(world, kVin);
  renewed.pair(world.owner_token);
  CHECK_FALSE(renewed.open(id));
  CHECK(world.car.report().status == 401);  // the old certificate ended at once
  renewed.say(id, State::kDownloaded);
  REQUIRE(renewed.report().status == 200);
  CHECK(renewed.open(id));
  renewed.obey();
  CHECK(world.order_state(id) == "active");
  CHECK(world.events("billing").size() == 1);
}
