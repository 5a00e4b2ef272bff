// Ordering: who may, what fits, how often (P1.1, P1.2, P1.3, P1.11, P1.13, P3.1).
#include <catch2/catch.hpp>
#include <set>

#include "server/shop/order.h"
#include "server/shop/sweep.h"
#include "tests/server/shop/map_store.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;

namespace {
std::set<std::string> rules(const Answered& answer) {
  std::set<std::string> found;
  for (const Json& reason : answer.body["reasons"]) found.insert(reason["rule"].get<std::string>());
  return found;
}
}  // namespace

TEST_CASE("P1.1: only the owner can order, and the refusal says so") {
  ReadyWorld world;
  world.add_user(world.owner_token, world.second_token);
  const Answered secondary = world.order_function("adaptive-cruise", world.second_token);
  CHECK(secondary.status == 403);
  CHECK(secondary.code() == "owner-only");
  CHECK_THAT(secondary.body["detail"].get<std::string>(), Catch::Contains("secondary user"));

  const std::string stranger = world.new_account(server::Role::kOwner, "Carl");
  const Answered strange = world.order_function("adaptive-cruise", stranger);
  CHECK(strange.code() == "owner-only");
  // A car that does not exist gets the same words: no VIN can be found out.
  const Answered nowhere = world.order_function("adaptive-cruise", stranger, kOtherVin);
  CHECK(nowhere.text == strange.text);
  for (const std::string& token : {world.operator_token, world.partner_token})
    CHECK(world.order_function("adaptive-cruise", token).code() == "owner-only");
  CHECK(world.order_function("adaptive-cruise", "").status == 401);

  const std::string car_orders = "/v1/cars/" + std::string(kVin) + "/orders";
  CHECK(world.get(car_orders, world.owner_token).body["orders"].empty());
  CHECK(world.events("authorisation").empty());
}

TEST_CASE("P1.2: what does not fit is refused with every reason named") {
  ReadyWorld world;
  world.sell("everything-wrong", {{"fit",
                                   {{"models", {"borealis"}},
                                    {"model_year_max", 2020},
                                    {"countries", {"NL"}},
                                    {"hardware", {"tow-bar", "camera"}},
                                    {"needs", {"software>=9", "function.adaptive-cruise"}},
                                    {"excludes", {"map.DE"}}}}});
  const Answered refused = world.order_function("everything-wrong", world.owner_token);
  CHECK(refused.status == 422);
  CHECK(refused.code() == "does-not-fit");
  CHECK(rules(refused) ==
        std::set<std::string>{"model", "model-year", "country", "hardware", "needs", "excludes"});
  CHECK(refused.body["reasons"].size() == 8);

  // The offers say the same beforehand.
  const Answered offers = world.get("/v1/cars/" + std::string(kVin) + "/offers", world.owner_token);
  for (const Json& offer : offers.body["products"]) {
    const bool wrong = offer["product"]["id"] == "everything-wrong";
    CHECK(offer["fits"] == !wrong);
    CHECK(offer["reasons"].size() == (wrong ? 8 : 0));
  }

  REQUIRE(world
              .put("/v1/catalogue/products/vapour", world.operator_token,
                   {{"title", {{"en", "x"}}},
                    {"image", "functions/vapour/1.0.pkg"},
                    {"price_cents", 0},
                    {"term", {{"kind", "unlimited"}}}})
              .status == 201);
  CHECK(rules(world.order_function("vapour", world.owner_token)) == std::set<std::string>{"image"});
  world.publish("functions/vapour/1.0.pkg", 1, ShopWorld::Payload::kReady, "hu-9");
  CHECK(rules(world.order_function("vapour", world.owner_token)) ==
        std::set<std::string>{"hardware-id"});
}

TEST_CASE("P1.2: a need is met by what the car reports as installed, and by nothing else") {
  ReadyWorld world;
  world.sell("plus", {{"fit", {{"needs", {"function.adaptive-cruise"}}}}});
  CHECK(world.order_function("plus", world.owner_token).code() == "does-not-fit");
  REQUIRE(world.order_function("adaptive-cruise", world.owner_token).status == 201);
  CHECK(world.order_function("plus", world.owner_token).code() == "does-not-fit");
  world.car.obey();
  CHECK(world.order_function("plus", world.owner_token).status == 201);
}

TEST_CASE("P3.1: more than three regions are refused with the pointer to a partner") {
  ReadyWorld world;
  for (const char* region : {"DE", "FR", "IT", "NL"})
    world.publish(std::string("maps/") + region + "/2.tar", 2);
  const Answered four = world.order_map({"DE", "FR", "IT", "NL"}, world.owner_token);
  CHECK(four.status == 422);
  CHECK(four.code() == "too-many-regions");
  CHECK_THAT(four.body["detail"].get<std::string>(), Catch::Contains("partner"));
  CHECK(world.order_map({"DE", "DE"}, world.owner_token).status == 400);
  CHECK(world.order_map({}, world.owner_token).status == 400);
  CHECK(world.order_map({"DE", "XX"}, world.owner_token).code() == "unknown-region");

  const Answered three = world.order_map({"DE", "IT", "NL"}, world.owner_token);
  REQUIRE(three.status == 201);
  CHECK(three.body["images"] == Json({"maps/DE/2.tar", "maps/IT/2.tar", "maps/NL/2.tar"}));
  CHECK(three.body["state"] == "staged");
  CHECK(world.order_map({"DE"}, world.owner_token).code() == "already-ordered");
  world.car.obey();
  CHECK(world.order_state(three.body["id"]) == "active");
  CHECK(world.order_map({"DE", "IT"}, world.owner_token).code() == "up-to-date");
  // What is newer is taken, what is not is left out.
  const Answered mixed = world.order_map({"DE", "FR"}, world.owner_token);
  REQUIRE(mixed.status == 201);
  CHECK(mixed.body["images"] == Json({"maps/FR/2.tar"}));
  CHECK(world.events("authorisation").empty());
  CHECK(world.events("billing").empty());
}

TEST_CASE("an order without payload stays ordered and is staged when the last payload is there") {
  ReadyWorld world;
  world.publish("maps/DE/2.tar", 2, ShopWorld::Payload::kMissing);
  world.publish("maps/IT/2.tar", 2, ShopWorld::Payload::kMissing);
  const Answered order = world.order_map({"DE", "IT"}, world.owner_token);
  REQUIRE(order.status == 201);
  CHECK(order.body["state"] == "ordered");
  CHECK(world.car.desired().empty());
  world.publish_payload("maps/IT/2.tar");
  REQUIRE(server::stage_waiting_orders(world.services, "maps/IT/2.tar"));
  CHECK(world.order_state(order.body["id"]) == "ordered");
  world.publish_payload("maps/DE/2.tar");
  REQUIRE(server::stage_all_waiting_orders(world.services));
  CHECK(world.order_state(order.body["id"]) == "staged");
  REQUIRE(world.car.desired().size() == 1);
  CHECK(world.services.store.scan("w/", "w0", 10)->empty());
  world.check_audit();
}

TEST_CASE("an order races the publication of its payload: it is staged all the same") {
  MapStore map;
  MeddlingStore store(map);
  ReadyWorld world(&store);
  world.publish("maps/DE/2.tar", 2, ShopWorld::Payload::kMissing);
  store.before_commit = [&] {
    world.publish_payload("maps/DE/2.tar");
    REQUIRE(server::stage_waiting_orders(world.services, "maps/DE/2.tar"));
  };
  const Answered order = world.order_map({"DE"}, world.owner_token);
  REQUIRE(order.status == 201);
  CHECK(order.body["state"] == "staged");
}

TEST_CASE("an Idempotency-Key makes an order once, also across a crash") {
  MapStore map;
  MeddlingStore store(map);
  ReadyWorld world(&store);
  const Json body{{"vin", kVin}, {"kind", "function"}, {"product", "adaptive-cruise"}};
  CHECK(world.post("/v1/orders", world.owner_token, body).code() == "idempotency-key-required");

  const auto crash = GENERATE(MeddlingStore::Crash::kBefore, MeddlingStore::Crash::kAfter);
  store.crash = crash;
  CHECK(world.post("/v1/orders", world.owner_token, body, "k1").status == 500);
  // The server starts again on the same store.
  world.events_sequence = std::move(*server::EventSequence::open(store));
  world.services.events = world.events_sequence.get();
  const Answered retried = world.post("/v1/orders", world.owner_token, body, "k1");
  REQUIRE(retried.status == 201);
  const Answered again = world.post("/v1/orders", world.owner_token, body, "k1");
  CHECK(again.status == 201);
  CHECK(again.text == retried.text);
  CHECK(world.events("authorisation").size() == 1);
  const Json other{{"vin", kVin}, {"kind", "map"}, {"regions", {"DE"}}};
  CHECK(world.post("/v1/orders", world.owner_token, other, "k1").code() ==
        "idempotency-key-reused");
  CHECK(world.post("/v1/orders", world.owner_token, body, "k2").code() == "already-ordered");
  // After 35 days the answer is forgotten, and no index entry is left behind.
  world.base.clock.advance(36 * kDaySeconds);
  world.sweep();
  CHECK(store.scan("k/", "k0", 10)->empty());
  CHECK(store.scan("d/", "d0", 10)->empty());
}

TEST_CASE("P1.3: an order and its licence are for one car") {
  ReadyWorld world;
  const std::string id = world.order_function("adaptive-cruise", world.owner_token).body["id"];
  SimCar other(world, kOtherVin);
  world.register_car(other);
  other.pair(world.owner_token);
  REQUIRE(other.report().status == 200);
  // Another car that speaks of the order moves nothing.
  other.say(id, manifest::OrderState::kDownloaded);
  REQUIRE(other.report().status == 200);
  CHECK(world.order_state(id) == "staged");

  world.car.say(id, manifest::OrderState::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  const auto licence = world.car.open(id);
  REQUIRE(licence);
  CHECK((*licence)->vin.text() == kVin);
  CHECK((*licence)->state == manifest::LicenceState::kActive);
  other.vin = kVin;  // the same bytes with the other car's key
  const auto stolen = other.open(id);
  REQUIRE_FALSE(stolen);
  CHECK(stolen.error().code() == ErrorCode::kLicenceRefused);
}

TEST_CASE("P1.11, P1.13: messages for each step; the order shows state, since and history") {
  ReadyWorld world;
  const std::string id = world.order_function("adaptive-cruise", world.owner_token).body["id"];
  world.base.clock.advance(100);
  world.car.obey();
  CHECK(world.messages(id) ==
        std::vector<std::string>{"ordered", "downloaded", "activated", "invoiced"});
  const std::string events = "/v1/cars/" + std::string(kVin) + "/events";
  CHECK(world.get(events, world.owner_token).body["events"].size() == 5);  // with "paired"
  CHECK(world.get(events, world.second_token).status == 404);

  const Json order = world.get("/v1/orders/" + id, world.owner_token).body;
  CHECK(order["state"] == "active");
  CHECK(order["since"] == "2026-11-22T06:01:40Z");
  CHECK(order["amount_cents"] == 49900);
  CHECK(order["history"].size() == 4);
  CHECK_FALSE(order.contains("inner"));
  world.add_user(world.owner_token, world.second_token);
  const Json seen = world.get("/v1/orders/" + id, world.second_token).body;
  CHECK_FALSE(seen.contains("amount_cents"));
  CHECK_FALSE(seen["history"][0].contains("who"));
  CHECK_THAT(seen.dump(), !Catch::Contains(world.owner));
  const Json car = world.get("/v1/cars/" + std::string(kVin), world.second_token).body;
  CHECK_THAT(car.dump(), !Catch::Contains(world.owner));
  CHECK(car["functions"]["adaptive-cruise"]["state"] == "active");
  CHECK(world.order_function("adaptive-cruise", world.owner_token).code() == "already-active");
}

TEST_CASE("orders that are over stand in nobody's way, and are still shown") {
  ReadyWorld world;
  const auto vin = manifest::Vin::parse(kVin).value();
  std::vector<std::string> ids;
  for (int n = 0; n < 4; ++n) {
    world.base.clock.advance(1);
    ids.push_back(world.order_function("adaptive-cruise", world.owner_token).body["id"]);
    if (n < 3)
      REQUIRE(world.post("/v1/orders/" + ids.back() + "/cancel", world.owner_token).status == 200);
  }
  // What every report and every order has to look through is the open one alone.
  CHECK(server::load_orders(world.services.store, vin)->size() == 1);
  CHECK(world.order_state(ids[0]) == "cancelled");
  const std::string path = "/v1/cars/" + std::string(kVin) + "/orders";
  const auto listed = [&](const std::string& query) {
    std::vector<std::string> found;
    const Answered list = world.get(path + query, world.owner_token);
    for (const Json& order : list.body["orders"]) found.push_back(order["id"]);
    return found;
  };
  CHECK(listed("") == ids);
  CHECK(listed("?limit=3") == std::vector<std::string>(ids.begin(), ids.begin() + 3));
  CHECK(listed("?after=" + ids[1]) == std::vector<std::string>(ids.begin() + 2, ids.end()));
  // An order that failed is over when its licence is revoked, and not before.
  world.car.say(ids[3], manifest::OrderState::kDownloaded);
  REQUIRE(world.car.report().status == 200);
  world.car.say(ids[3], manifest::OrderState::kFailed);
  REQUIRE(world.car.report().status == 200);
  CHECK(server::load_orders(world.services.store, vin)->size() == 1);
  world.car.obey();
  CHECK(server::load_orders(world.services.store, vin)->empty());
  CHECK(world.order_state(ids[3]) == "failed");
}

TEST_CASE("a car takes no more open orders than are looked through, and says so of software") {
  ReadyWorld world;
  const std::string id = world.order_function("adaptive-cruise", world.owner_token).body["id"];
  const auto vin = manifest::Vin::parse(kVin).value();
  const std::string record = world.services.store.get(server::order_key(vin, id))->value();
  server::Batch batch;
  for (std::size_t n = 1; n < server::kOpenOrdersMax; ++n) {
    const std::string other = manifest::OrderId::generate(world.base.clock.now()).text();
    std::string copy = record;
    copy.replace(copy.find(id), id.size(), other);
    batch.writes.push_back({server::order_key(vin, other), copy});
  }
  REQUIRE(world.services.store.commit(batch));
  world.publish("maps/DE/2.tar", 2);
  CHECK(world.order_map({"DE"}, world.owner_token).code() == "conflict");
  std::string logged;
  world.services.log = [&](server::LogLevel, std::string_view event, auto) { logged += event; };
  world.publish("software/hu-4/2.0.img", 2);
  REQUIRE(world
              .put("/v1/rollouts/next", world.operator_token,
                   {{"image", "software/hu-4/2.0.img"}, {"state", "running"}})
              .status == 201);
  const std::string consent = "/v1/cars/" + std::string(kVin) + "/consents/software-updates";
  REQUIRE(
      world.put(consent, world.owner_token, {{"language", "de"}, {"text_version", "1"}}).status ==
      200);
  CHECK(logged == "software not offered");
  // One less, and both go.
  REQUIRE(world.post("/v1/orders/" + id + "/cancel", world.owner_token).status == 200);
  logged.clear();
  REQUIRE(world.car.report().status == 200);
  CHECK(logged.empty());
  CHECK(world.car.desired().back()["images"][0] == "software/hu-4/2.0.img");
}

TEST_CASE("P3.2: a car asks by itself, with the checks of an owner's order") {
  ReadyWorld world;
  const auto ask = [&](const Json& regions) {
    return world.call(server::Method::kPost, "/v1/vehicle/map-requests", "", {{"regions", regions}},
                      "", &world.car.certificate);
  };
  for (const char* region : {"DE", "FR", "IT", "NL"})
    world.publish(std::string("maps/") + region + "/2.tar", 2);
  CHECK(world.post("/v1/vehicle/map-requests", world.owner_token, {{"regions", {"DE"}}}).status ==
        403);
  CHECK(world.post("/v1/vehicle/map-requests", "", {{"regions", {"DE"}}}).status == 401);
  CHECK(ask(Json(17, "DE")).status == 400);
  CHECK(ask({"no region/at all"}).status == 400);
  CHECK(ask({"DE", "DE"}).status == 400);
  // Where the car is there is no map; its country is one that matters.
  const Answered announced =
      world.call(server::Method::kPost, "/v1/vehicle/map-requests", "",
                 {{"regions", {"XX"}}, {"start", "announce"}}, "", &world.car.certificate);
  CHECK(announced.status == 200);
  CHECK(announced.body["regions"] == Json({"DE"}));
  // Three at most become an order, what matters most first.
  const Answered many = world.call(server::Method::kPost, "/v1/vehicle/map-requests", "",
                                   {{"regions", {"NL", "FR", "IT"}}, {"start", "announce"}}, "",
                                   &world.car.certificate);
  CHECK(many.body["regions"] == Json({"NL", "FR", "IT"}));
  const Answered found = ask({"DE", "XX", "FR"});
  INFO(found.text);
  REQUIRE(found.status == 201);
  CHECK(found.body["regions"] == Json({"DE", "FR"}));
  const std::string id = found.body["id"];
  CHECK(world.order_state(id) == "staged");
  CHECK(world.messages(id) == std::vector<std::string>{"ordered"});  // to the owner
  CHECK(ask({"IT"}).code() == "already-ordered");
  world.car.obey();
  CHECK(world.order_state(id) == "active");
  CHECK(ask({"DE", "FR"}).status == 200);
  CHECK(ask({"IT", "DE"}).body["regions"] == Json({"IT"}));
  const Answered trail =
      world.get("/v1/cars/" + std::string(kVin) + "/audit", world.operator_token);
  bool is_named = false;
  for (const Json& record : trail.body["records"])
    is_named = is_named || (record.value("order", "") == id && record["who"] == kVin);
  CHECK(is_named);
  world.check_audit();
  CHECK(world.events("billing").empty());
}

TEST_CASE("P3.2, P1.1: a car that belongs to nobody orders no maps") {
  ReadyWorld world;
  world.publish("maps/DE/2.tar", 2);
  REQUIRE(world.post("/v1/cars/" + std::string(kVin) + "/hand-over", world.owner_token).status ==
          200);
  const auto ask = [&] {
    return world.call(server::Method::kPost, "/v1/vehicle/map-requests", "", {{"regions", {"DE"}}},
                      "", &world.car.certificate);
  };
  CHECK(ask().status == 403);
  CHECK(world.get("/v1/cars/" + std::string(kVin) + "/orders", world.operator_token)
            .body["orders"]
            .empty());
  world.car.pair(world.second_token);
  CHECK(ask().status == 201);
}

TEST_CASE("P3.1: a partner orders any number of regions for delivery offline, an owner does not") {
  ReadyWorld world;
  std::vector<std::string> regions;
  for (int i = 0; i < 100; ++i) {
    regions.push_back(fmt::format("R{:02}", i));
    world.publish("maps/" + regions.back() + "/2.tar", 2);
  }
  const auto order = [&](const std::vector<std::string>& wanted, const std::string& token,
                         const char* key, const char* vin = kVin) {
    return world.post("/v1/orders", token,
                      {{"vin", vin}, {"kind", "map"}, {"regions", wanted}, {"delivery", "offline"}},
                      key);
  };
  CHECK(order(regions, world.owner_token, "1").code() == "forbidden");
  CHECK(order(regions, world.second_token, "1").code() == "forbidden");
  CHECK(order(regions, world.partner_token, "2", kOtherVin).status == 404);
  CHECK(order({}, world.partner_token, "3").code() == "invalid-argument");
  regions.push_back("R100");
  CHECK(order(regions, world.partner_token, "4").code() == "invalid-argument");
  regions.pop_back();
  const Answered made = order(regions, world.partner_token, "5");
  REQUIRE(made.status == 201);
  CHECK(made.body["delivery"] == "offline");
  CHECK(made.body["state"] == "staged");
  CHECK(world.car.desired().back()["delivery"] == "offline");
  CHECK(world.car.desired().back()["images"].size() == 100);
  // It is the owner's, who sees it without the partner's name and may cancel it.
  const std::string id = made.body["id"];
  const Answered seen = world.get("/v1/orders/" + id, world.owner_token);
  CHECK(seen.body["regions"].size() == 100);
  CHECK_FALSE(seen.body["history"][0].contains("who"));
  CHECK(world.messages(id) == std::vector<std::string>{"ordered"});
  CHECK(world.order_map({"R00"}, world.owner_token).code() == "already-ordered");
  CHECK(world.post("/v1/orders/" + id + "/cancel", world.owner_token).status == 200);
  CHECK(order({"R01"}, world.operator_token, "6").status == 201);
  world.check_audit();
}
