// Terms: when they begin, renew and end, what is paid for them, and what the owner is told (P1.4,
// P1.5, P1.8, P1.11, P1.13). The world begins on 2026-11-22, 07:00 in Berlin.
#include <catch2/catch.hpp>

#include "base/time_text.h"
#include "server/release/image.h"
#include "server/release/release_keys.h"
#include "server/shop/sweep.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using State = manifest::OrderState;

namespace {

const Json kMonthly{{"term", {{"kind", "subscription"}}}, {"price_cents", 999}};

std::string buy(ReadyWorld& world, const Json& product, const Json& more = Json::object()) {
  const std::string name = "p" + std::to_string(++world.keys_made);
  world.sell(name, product);
  Json body{{"vin", kVin}, {"kind", "function"}, {"product", name}};
  body.update(more);
  const Answered order =
      world.post("/v1/orders", world.owner_token, body, "k" + std::to_string(++world.keys_made));
  INFO(order.text);
  REQUIRE(order.status == 201);
  return order.body["id"];
}

std::string activate(ReadyWorld& world, const Json& product, const Json& more = Json::object()) {
  const std::string id = buy(world, product, more);
  world.car.obey();
  REQUIRE(world.order_state(id) == "active");
  return id;
}

Answered switch_renewal(ReadyWorld& world, const std::string& id, bool on) {
  return world.put("/v1/orders/" + id + "/renewal", world.owner_token, {{"auto", on}});
}

// "billing 1, refund 2": types and periods of what moved money.
std::string money(ReadyWorld& world, const std::string& id) {
  std::string all;
  const Answered events = world.get("/v1/events?limit=1000", world.operator_token);
  for (const Json& event : events.body["events"]) {
    if (event["type"] == "message" || event.value("order", "") != id) continue;
    if (!all.empty()) all += ", ";
    all +=
        event["type"].get<std::string>() + " " + std::to_string(event["data"]["period"].get<int>());
  }
  return all;
}

}  // namespace

TEST_CASE(
    "P1.8, P1.5: a subscription renews a day before the month's end, each month billed once") {
  ReadyWorld world;
  const std::string id = activate(world, kMonthly);
  const Json order = world.order(id);
  CHECK(order["active_until"] == "2026-12-22T06:00:00Z");
  CHECK(order["auto_renew"] == true);
  CHECK(order["next_charge"]["at"] == "2026-12-21T06:00:00Z");
  CHECK(order["next_charge"]["amount_cents"] == 999);
  world.go_to("2026-12-21T05:59:59Z");
  CHECK(world.car.desired().empty());
  world.go_to("2026-12-21T06:00:00Z");
  CHECK(money(world, id) == "authorisation 1, billing 1, authorisation 2");
  // Only a licence goes to the car, and it is small.
  REQUIRE(world.car.desired().size() == 1);
  const Json wanted = world.car.desired()[0];
  CHECK(wanted["action"] == "licence");
  CHECK(wanted["images"].empty());
  CHECK(from_base64(wanted["licence"].get<std::string>())->size() < 1024);
  CHECK(*(*world.car.open(id))->until == *parse_utc("2027-01-22T06:00:00Z"));
  CHECK((*world.car.open(id))->grace_seconds == 3 * kDaySeconds);
  REQUIRE(world.car.report().status == 200);  // it does not have it yet: nothing is billed
  CHECK(world.events("billing", id).size() == 1);
  world.car.obey();
  REQUIRE(world.car.report().status == 200);
  CHECK(money(world, id) == "authorisation 1, billing 1, authorisation 2, billing 2");
  CHECK(world.car.desired().empty());
  CHECK(world.order_state(id) == "active");
  CHECK(world.order(id)["active_until"] == "2027-01-22T06:00:00Z");
  CHECK(world.messages(id) == std::vector<std::string>{"ordered", "downloaded", "activated",
                                                       "invoiced", "renewed", "invoiced"});
  CHECK(world.deadlines_of(id) == 1);
  world.check_audit();
}

TEST_CASE("P1.8: a month's last day stays the last day, whatever came between") {
  ReadyWorld world;
  world.go_to("2027-01-31T11:00:00Z");
  const std::string id = activate(world, kMonthly);
  std::vector<std::string> ends;
  for (const char* day : {"2027-02-27T11:00:00Z", "2027-03-30T10:00:00Z", "2027-04-29T10:00:00Z"}) {
    ends.push_back(world.order(id)["active_until"]);
    world.go_to(day);
    world.car.obey();
  }
  ends.push_back(world.order(id)["active_until"]);
  CHECK(ends == std::vector<std::string>{"2027-02-28T11:00:00Z", "2027-03-31T10:00:00Z",
                                         "2027-04-30T10:00:00Z", "2027-05-31T10:00:00Z"});
  CHECK(world.events("billing", id).size() == 4);
}

TEST_CASE("P1.8: told not to renew in time, it ends with the month and the car is switched off") {
  ReadyWorld world;
  const std::string id = activate(world, kMonthly);
  world.go_to("2026-12-10T06:00:00Z");
  const Answered off = switch_renewal(world, id, false);
  REQUIRE(off.status == 200);
  CHECK(off.body["auto_renew"] == false);
  CHECK_FALSE(off.body.contains("note"));
  CHECK_FALSE(off.body.contains("next_charge"));
  for (const char* day : {"2026-12-15T06:00:00Z", "2026-12-20T06:00:00Z", "2026-12-21T06:00:00Z"})
    world.go_to(day);
  CHECK(world.messages(id) == std::vector<std::string>{"ordered", "downloaded", "activated",
                                                       "invoiced", "expiring", "expiring",
                                                       "expiring"});
  CHECK(world.events("message", id).back()["data"]["days"] == 1);
  world.go_to("2026-12-22T05:59:59Z");
  CHECK(world.order_state(id) == "active");
  world.go_to("2026-12-22T06:00:00Z");
  CHECK(world.order_state(id) == "expired");
  CHECK(world.deadlines_of(id) == 0);
  REQUIRE(world.car.desired().size() == 1);
  CHECK(world.car.desired()[0]["action"] == "deactivate");
  world.car.obey();
  CHECK(world.order_state(id) == "ended");
  CHECK(world.messages(id).back() == "ended");
  CHECK(money(world, id) == "authorisation 1, billing 1");
  CHECK(switch_renewal(world, id, true).code() == "wrong-state");
  world.check_audit();
}

TEST_CASE("P1.8: a notice that comes on the last day counts for the next month, and it says so") {
  ReadyWorld world;
  const std::string id = activate(world, kMonthly);
  const bool sweep_is_late = GENERATE(true, false);
  const UnixSeconds at = *parse_utc("2026-12-21T06:00:01Z");
  world.base.clock.advance(at - world.base.clock.now());
  if (!sweep_is_late) world.sweep();
  const Answered off = switch_renewal(world, id, false);
  REQUIRE(off.status == 200);
  CHECK(off.body["active_until"] == "2027-01-22T06:00:00Z");
  CHECK_THAT(off.body["note"].get<std::string>(), Catch::Contains("2027-01-22T06:00:00Z"));
  world.car.obey();
  world.go_to("2027-01-22T06:00:00Z");
  CHECK(world.order_state(id) == "expired");
  CHECK(money(world, id) == "authorisation 1, billing 1, authorisation 2, billing 2");
}

TEST_CASE("P1.5: a month whose licence the car never had is returned when it is over") {
  ReadyWorld world;
  const std::string id = activate(world, kMonthly);
  world.go_to("2026-12-21T06:00:00Z");
  world.go_to("2027-01-21T06:00:00Z");
  world.go_to("2027-01-22T05:59:59Z");
  CHECK(money(world, id) == "authorisation 1, billing 1, authorisation 2, authorisation 3");
  SECTION("the sweep is first") {
    world.go_to("2027-01-22T06:00:00Z");
    CHECK(world.events("refund", id)[0]["data"]["of"] == "authorisation");
    world.car.obey();
  }
  SECTION("the report is first") {
    world.base.clock.advance(1);
    world.car.obey();
    world.sweep();
  }
  CHECK(money(world, id) ==
        "authorisation 1, billing 1, authorisation 2, authorisation 3, refund 2, billing 3");
  CHECK(world.order(id)["periods"][1]["money"] == "returned");
  world.check_audit();
}

TEST_CASE("P1.8: a fixed term is renewed by hand from 14 days before its end, not earlier") {
  ReadyWorld world;
  const std::string id = activate(world, {{"term", {{"kind", "fixed"}, {"days", 90}}}});
  CHECK(world.order(id)["auto_renew"] == false);
  CHECK(world.order(id)["active_until"] == "2027-02-20T06:00:00Z");
  const auto renew = [&] {
    return world.post("/v1/orders/" + id + "/renew", world.owner_token, nullptr,
                      "k" + std::to_string(++world.keys_made));
  };
  world.go_to("2027-02-06T05:59:59Z");
  const Answered early = renew();
  CHECK(early.code() == "too-early");
  CHECK_THAT(early.body["detail"].get<std::string>(), Catch::Contains("2027-02-06T06:00:00Z"));
  world.go_to("2027-02-06T06:00:00Z");
  CHECK(world.messages(id).back() == "renewal-open");
  const Answered renewed = renew();
  REQUIRE(renewed.status == 200);
  CHECK(renewed.body["active_until"] == "2027-05-21T05:00:00Z");  // summer time by then
  CHECK(renew().code() == "too-early");
  world.car.obey();
  CHECK(money(world, id) == "authorisation 1, billing 1, authorisation 2, billing 2");
  world.go_to("2027-05-21T05:00:00Z");
  CHECK(world.order_state(id) == "expired");
  const std::string other =
      activate(world, {{"term", {{"kind", "fixed"}, {"days", 30}}}, {"renewable", false}});
  CHECK(switch_renewal(world, other, true).code() == "not-renewable");
  CHECK(world.order(other).contains("renewable") == false);
  const std::string ever = activate(world, Json::object());
  CHECK(world.post("/v1/orders/" + ever + "/renew", world.owner_token, nullptr, "ever").code() ==
        "not-renewable");
}

TEST_CASE("P1.8: a short term is renewed once at a time, however often that is sent") {
  ReadyWorld world;
  const std::string id = activate(world, {{"term", {{"kind", "fixed"}, {"days", 7}}}});
  const std::string path = "/v1/orders/" + id + "/renew";
  CHECK(world.post(path, world.owner_token).code() == "idempotency-key-required");
  const Answered renewed = world.post(path, world.owner_token, nullptr, "one");
  REQUIRE(renewed.status == 200);
  CHECK(world.post(path, world.owner_token, nullptr, "one").text == renewed.text);
  // Within 14 days before the new end, and not yet: one period ahead is enough.
  const Answered early = world.post(path, world.owner_token, nullptr, "two");
  CHECK(early.code() == "too-early");
  CHECK_THAT(early.body["detail"].get<std::string>(), Catch::Contains("2026-11-29T06:00:00Z"));
  CHECK(world.events("authorisation", id).size() == 2);
  world.car.obey();
  world.go_to("2026-11-29T06:00:00Z");
  CHECK(world.post(path, world.owner_token, nullptr, "two").status == 200);
}

TEST_CASE("P1.4, P2.2: a term begins with the activation, and not when the car speaks again") {
  ReadyWorld world;
  const std::string id = buy(world, kMonthly);
  world.car.say(id, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  world.go_to("2026-11-24T06:00:00Z");
  world.car.take_licence(id);
  world.car.install(world.order(id)["images"][0], 1);
  const auto speaks = [&](UnixSeconds since) {
    world.car.say(id, State::kActive);
    world.car.orders.at(id).since = since;
    REQUIRE(world.car.report().status == 200);
    return world.order(id)["active_until"].get<std::string>();
  };
  const UnixSeconds activated = world.base.clock.now();
  SECTION("it was in private mode meanwhile") {
    world.go_to("2026-12-14T06:00:00Z");
    CHECK(speaks(activated) == "2026-12-24T06:00:00Z");
    CHECK(money(world, id) == "authorisation 1, billing 1");
  }
  SECTION("its clock is ahead") {
    CHECK(speaks(activated + 3000) == "2026-12-24T06:00:00Z");
  }
  SECTION("it says a time before it had a licence") {
    CHECK(speaks(activated - 30 * kDaySeconds) == "2026-12-22T06:00:00Z");
  }
  SECTION("it speaks when all of the term is over") {
    world.go_to("2027-02-01T06:00:00Z");
    speaks(activated);
    world.sweep();
    CHECK(world.events("billing", id).size() == 1);
  }
}

TEST_CASE("P1.4, P1.5: a term that the car was silent over is given back in the end") {
  ReadyWorld world;
  const std::string id = buy(
      world, {{"term", {{"kind", "fixed"}, {"days", 7}, {"from", "acceptance"}, {"grace_days", 3}}},
              {"renewable", false}});
  world.car.say(id, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  // 7 days, 3 of grace, 28 in which the car may still say that it was active in time.
  world.go_to("2026-12-30T05:59:59Z");
  CHECK(world.order_state(id) == "downloaded");
  world.go_to("2026-12-30T06:00:00Z");
  CHECK(world.order_state(id) == "cancelling");
  CHECK(money(world, id) == "authorisation 1, refund 1");
  CHECK(world.car.desired()[0]["action"] == "deactivate");
  CHECK(world.deadlines_of(id) == 0);
  // What it says now comes too late to be billed.
  world.car.say(id, State::kActivating);
  REQUIRE(world.car.report().status == 200);
  CHECK(world.order_state(id) == "cancelling");
  world.car.obey();
  CHECK(world.order_state(id) == "refunded");
  CHECK(money(world, id) == "authorisation 1, refund 1");
}

TEST_CASE("P1.5, P1.6: an order whose image is withdrawn under it is given up by its owner") {
  ReadyWorld world;
  const std::string id = buy(world, Json::object());
  world.car.say(id, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  const std::string cancel = "/v1/orders/" + id + "/cancel";
  CHECK(world.post(cancel, world.owner_token).code() == "too-late");
  const std::string name = world.order(id)["images"][0];
  const std::string key = server::image_key(name);
  server::Image image = server::decode_image(name, *world.services.store.get(key).value()).value();
  image.listing = server::Listing::kWithdrawn;
  REQUIRE(world.services.store.commit(
      {.expectations = {}, .writes = {{key, server::encode_image(image)}}}));
  const Answered given_up = world.post(cancel, world.owner_token);
  REQUIRE(given_up.status == 200);
  CHECK(given_up.body["state"] == "failed");
  CHECK(given_up.body["history"].back()["cause"] == "image-withdrawn");
  CHECK(money(world, id) == "authorisation 1, refund 1");
  CHECK(world.car.desired()[0]["action"] == "deactivate");
  world.car.obey();
  CHECK(world.car.desired().empty());
  image.listing = server::Listing::kListed;
  REQUIRE(world.services.store.commit(
      {.expectations = {}, .writes = {{key, server::encode_image(image)}}}));
  CHECK(world.order_function(world.order(id)["product"], world.owner_token).status == 201);
}

TEST_CASE("a sweep breaks off when it is told to, and goes on where it was") {
  ReadyWorld world;
  std::vector<std::string> ids;
  for (int n = 0; n < 5; ++n) ids.push_back(buy(world, Json::object()));
  world.base.clock.advance(28 * kDaySeconds + 3600);
  const UnixSeconds now = world.base.clock.now();
  const auto waiting = [&] {
    return std::count_if(ids.begin(), ids.end(),
                         [&](const auto& id) { return world.order_state(id) == "staged"; });
  };
  std::stop_source stop;
  stop.request_stop();
  CHECK(server::sweep_due(world.services, now, SIZE_MAX, stop.get_token()) == now);
  CHECK(waiting() == 5);
  CHECK(server::sweep_due(world.services, now, 2) == now);
  CHECK(waiting() < 5);
  CHECK(waiting() > 0);
  const auto next = server::sweep_due(world.services, now);
  REQUIRE(next);
  CHECK(waiting() == 0);
  CHECK(*next != now);
}

TEST_CASE("P1.8: a fixed term renews by itself where it was ordered so") {
  ReadyWorld world;
  const std::string id =
      activate(world, {{"term", {{"kind", "fixed"}, {"days", 30}}}}, {{"auto_renew", true}});
  world.go_to("2026-12-21T06:00:00Z");
  world.car.obey();
  CHECK(world.order(id)["active_until"] == "2027-01-21T06:00:00Z");
  CHECK(world.events("billing", id).size() == 2);
  // On again within the last day: it is carried out at once.
  REQUIRE(switch_renewal(world, id, false).status == 200);
  world.go_to("2027-01-20T12:00:00Z");
  CHECK(world.events("authorisation", id).size() == 2);
  REQUIRE(switch_renewal(world, id, true).status == 200);
  CHECK(world.events("authorisation", id).size() == 3);
}

TEST_CASE("P1.4: a term runs from the acceptance or from the activation, as the catalogue says") {
  ReadyWorld world;
  const auto term = [](const char* from) {
    return Json{{"term", {{"kind", "fixed"}, {"days", 30}, {"from", from}}}};
  };
  const std::string accepted = buy(world, term("acceptance"));
  const std::string activated = buy(world, term("activation"));
  for (const std::string& id : {accepted, activated}) world.car.say(id, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  const std::string issued = world.order(activated)["active_until"];
  world.go_to("2026-12-02T06:00:00Z");
  world.car.obey();
  CHECK(world.order(accepted)["active_until"] == "2026-12-22T06:00:00Z");
  CHECK(issued == "2026-12-22T06:00:00Z");
  CHECK(world.order(activated)["active_until"] == "2027-01-01T06:00:00Z");
  // The car has the later end, too, and nothing more is wanted of it.
  CHECK(*world.car.functions.at(*manifest::FunctionId::parse("p3")).until ==
        *parse_utc("2027-01-01T06:00:00Z"));
  CHECK(world.car.desired().empty());
  CHECK(world.events("billing", activated).size() == 1);
}

TEST_CASE("P1.6, P1.4: an activation months later finds a licence that has not run out") {
  ReadyWorld world;
  const std::string id = buy(world, kMonthly);
  world.car.say(id, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  for (const char* day : {"2026-12-20T00:00:00Z", "2027-01-10T00:00:00Z", "2027-02-15T00:00:00Z"})
    world.go_to(day);
  CHECK(*(*world.car.open(id))->until > *parse_utc("2027-02-28T00:00:00Z"));
  world.car.obey();
  CHECK(world.order(id)["active_until"] == "2027-03-15T00:00:00Z");
  CHECK(money(world, id) == "authorisation 1, billing 1");
}

TEST_CASE("P1.4: an inclusive period turns into nothing by itself, and costs nothing") {
  ReadyWorld world;
  const Json gift{{"term", {{"kind", "inclusive"}, {"days", 14}, {"from", "acceptance"}}},
                  {"price_cents", 0}};
  const std::string id = activate(world, gift);
  world.go_to("2026-12-06T06:00:00Z");
  CHECK(world.order_state(id) == "expired");
  world.car.obey();
  CHECK(world.order_state(id) == "ended");
  CHECK(money(world, id).empty());
  // One that is over before the car had it does not even begin.
  const std::string late = buy(world, gift);
  world.go_to("2026-12-20T06:00:00Z");
  CHECK(world.order_state(late) == "cancelled");
  CHECK(world.deadlines_of(late) == 0);
}

TEST_CASE("P1.4: a car has the inclusive period of a function once, whoever owns it") {
  ReadyWorld world;
  const Json gift{{"term", {{"kind", "inclusive"}, {"days", 14}}}, {"price_cents", 0}};
  world.sell("gift", gift);
  const auto order = [&] { return world.order_function("gift", world.owner_token); };
  const auto offer = [&]() -> Json {
    const Answered offers =
        world.get("/v1/cars/" + std::string(kVin) + "/offers", world.owner_token);
    for (const Json& each : offers.body["products"])
      if (each["product"]["id"] == "gift") return each;
    return {};
  };
  // What was never active is not used up.
  const std::string failed = order().body["id"];
  world.car.say(failed, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  world.car.say(failed, State::kFailed);
  REQUIRE(world.car.report().status == 200);
  REQUIRE(world.order_state(failed) == "failed");
  world.car.obey();
  CHECK(offer()["fits"] == true);
  const std::string had = order().body["id"];
  world.car.obey();
  REQUIRE(world.order_state(had) == "active");
  world.go_to("2026-12-06T06:00:00Z");
  world.car.obey();
  REQUIRE(world.order_state(had) == "ended");
  const Answered again = order();
  CHECK(again.status == 422);
  CHECK(again.code() == "does-not-fit");
  REQUIRE(again.body["reasons"].size() == 1);
  CHECK(again.body["reasons"][0]["rule"] == "already-had");
  CHECK(offer()["fits"] == false);
  CHECK(offer()["reasons"][0]["rule"] == "already-had");
  // Nor as another product of the same function; paid for, it can be had.
  world.sell("gift-again",
             {{"term", gift["term"]}, {"price_cents", 0}, {"image", "functions/gift/1.0.pkg"}});
  CHECK(world.order_function("gift-again", world.owner_token).code() == "does-not-fit");
  world.sell("gift-paid", {{"image", "functions/gift/1.0.pkg"}});
  CHECK(world.order_function("gift-paid", world.owner_token).status == 201);
}

TEST_CASE("P1.4: reported active after its term, an order ends with the next look at the clock") {
  ReadyWorld world;
  const std::string id =
      buy(world, {{"term", {{"kind", "fixed"}, {"days", 7}, {"from", "acceptance"}}}});
  world.car.say(id, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  world.go_to("2026-12-01T06:00:00Z");
  CHECK(world.order_state(id) == "downloaded");
  world.car.obey();  // says active, and is told at once to switch off
  CHECK(world.order_state(id) == "ended");
  CHECK(money(world, id) == "authorisation 1, billing 1");
  const Json history = world.order(id)["history"];
  CHECK(history[history.size() - 2]["state"] == "expired");
}

TEST_CASE(
    "P1.6, P1.11: 7, 2 and 1 days before the window's end the owner is reminded, in local days") {
  ReadyWorld world;
  world.go_to("2027-03-10T08:00:00Z");
  const std::string id = buy(world, Json::object());
  CHECK(world.order(id)["download_by"] == "2027-04-07T07:00:00Z");  // summer time has begun
  world.go_to("2027-03-31T06:59:59Z");
  CHECK(world.messages(id).size() == 1);
  for (const char* day : {"2027-03-31T07:00:00Z", "2027-04-05T07:00:00Z", "2027-04-06T07:00:00Z"}) {
    world.go_to(day);
    world.sweep();
  }
  std::string left;
  for (const Json& event : world.events("message", id)) {
    if (event["data"]["message"] == "reminder") left += event["data"]["days"].dump() + " ";
  }
  CHECK(left == "7 2 1 ");
  world.go_to("2027-04-07T07:00:00Z");
  CHECK(world.order_state(id) == "cancelled");
}

TEST_CASE(
    "P1.8: bought again before the car has heard of the end, the newer licence takes its place") {
  ReadyWorld world;
  const Json product{{"term", {{"kind", "fixed"}, {"days", 30}}}};
  const std::string first = activate(world, product);
  world.go_to("2026-12-22T06:00:00Z");
  CHECK(world.order_state(first) == "expired");
  const std::string name = world.order(first)["product"];
  const Answered again = world.order_function(name, world.owner_token);
  INFO(again.text);
  REQUIRE(again.status == 201);
  const std::string second = again.body["id"];
  world.car.say(second, State::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  CHECK(world.order_state(first) == "ended");
  REQUIRE(world.car.desired().size() == 1);
  world.car.obey();
  CHECK(world.order_state(second) == "active");
  CHECK(world.events("billing").size() == 2);
  CHECK(world.events("refund").empty());
}

TEST_CASE("a sweep that was away for months catches up with everything that was due") {
  ReadyWorld world;
  const std::string id = activate(world, kMonthly);
  world.go_to("2027-03-01T00:00:00Z");
  CHECK(world.order(id)["active_until"] == "2027-03-22T06:00:00Z");
  CHECK(money(world, id) ==
        "authorisation 1, billing 1, authorisation 2, authorisation 3, refund 2, refund 3, "
        "authorisation 4");
  CHECK(world.deadlines_of(id) == 1);
  world.car.obey();
  CHECK(world.events("billing", id).size() == 2);
  world.check_audit();
}

TEST_CASE("a catalogue that contradicts itself is refused") {
  ReadyWorld world;
  const auto refused = [&](const Json& changes) {
    Json product{{"title", {{"en", "x"}}},
                 {"image", "functions/x/1.0.pkg"},
                 {"price_cents", 100},
                 {"currency", "EUR"},
                 {"term", {{"kind", "unlimited"}}}};
    product.update(changes);
    return world.put("/v1/catalogue/products/x", world.operator_token, product).status;
  };
  CHECK(refused({{"term", {{"kind", "unlimited"}, {"from", "activation"}}}}) == 400);
  CHECK(refused({{"term", {{"kind", "fixed"}, {"days", 3}, {"from", "birth"}}}}) == 400);
  CHECK(refused({{"renewable", true}}) == 400);
  CHECK(refused({{"renewable", false}, {"term", {{"kind", "subscription"}}}}) == 400);
  CHECK(refused({{"protects", 1}}) == 400);
  CHECK(refused({{"withdrawal_days", 13}}) == 400);
}

TEST_CASE("a licence number that was never given out shows no renewal, and bills none (P1.5)") {
  ReadyWorld world;
  const std::string id = activate(world, kMonthly);
  for (int i = 0; i < 2; ++i) REQUIRE(world.car.report().status == 200);
  world.go_to("2026-12-21T06:00:00Z");
  REQUIRE(world.car.desired().size() == 1);
  const auto licence = world.car.open(id).value();
  auto& said = world.car.functions.at(licence->function);
  said.counter = licence->counter + 1;
  REQUIRE(world.car.report().status == 200);
  CHECK(world.events("billing", id).size() == 1);
  CHECK(world.car.desired().size() == 1);
  world.car.obey();
  CHECK(world.events("billing", id).size() == 2);
  CHECK(world.car.desired().empty());
}
