// The audit trail and its signed export (P5.4); what can be done to one: tests/manifest.
#include <catch2/catch.hpp>
#include <future>

#include "server/director/director_metadata.h"
#include "server/fleet/audit.h"
#include "server/fleet/car.h"
#include "server/fleet/car_affairs.h"
#include "server/release/first_documents.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using manifest::PublicKey;
using manifest::VerifiedAuditExport;
using server::Method;
using State = manifest::OrderState;

namespace {

const std::string kCar = "/v1/cars/" + std::string(kVin);
const manifest::Vin kVinOfCar = *manifest::Vin::parse(kVin);

struct Exported {
  VerifiedAuditExport verified;
  Json document;
  // The records of a kind, in order.
  std::vector<Json> all(const std::string& what, const std::string& order = "") const {
    std::vector<Json> found;
    for (const Json& record : document["signed"]["records"])
      if (record["what"] == what && (order.empty() || record.value("order", "") == order))
        found.push_back(record);
    return found;
  }
  Json only(const std::string& what, const std::string& order = "") const {
    const std::vector<Json> found = all(what, order);
    INFO(what);
    REQUIRE(found.size() == 1);
    return found.front();
  }
};

Exported export_of(ShopWorld& world, const std::string& token, const std::string& query = "") {
  const Answered key = world.get("/v1/audit-key", "");
  REQUIRE(key.status == 200);
  const std::vector<PublicKey> keys{*PublicKey::from_json(key.body)};
  CHECK(keys.front() == PublicKey::of(*world.base.keys.audit));
  const Answered answer = world.get(kCar + "/audit/export" + query, token);
  INFO(answer.text.substr(0, 500));
  REQUIRE(answer.status == 200);
  Result<VerifiedAuditExport> verified =
      manifest::verify_audit_export(as_bytes(answer.text), keys, kVinOfCar);
  INFO((verified ? "" : verified.error().message()));
  REQUIRE(verified);
  return {.verified = *verified, .document = answer.body};
}

// Both repositories, once: the Director signs under its root.
void seed(ShopWorld& world) {
  const UnixSeconds now = world.services.clock.now();
  const auto first =
      server::make_first_documents(server::generate_offline_keys(1), world.services.keys, 1, now);
  REQUIRE(first);
  const auto seeded =
      server::seed_repositories(world.services.store, world.services.keys, *first, now);
  REQUIRE((seeded || seeded.error().code() == ErrorCode::kAlreadyExists));
}

void poll(ShopWorld& world) {
  seed(world);
  REQUIRE(server::director_timestamp(world.services, kVinOfCar));
}

// As a car does it, step by step, with the facts at the point of no return.
void install(ReadyWorld& world, const std::string& order, const std::string& image,
             const std::string& charge) {
  SimCar& car = world.car;
  for (const State state : {State::kDownloading, State::kDownloaded}) {
    car.say(order, state);
    car.orders.at(order).bytes_total = 900;
    car.orders.at(order).bytes_done = state == State::kDownloaded ? 900 : 100;
    REQUIRE(car.report().status == 200);
  }
  for (const State state : {State::kInstalling, State::kActive}) {
    if (state == State::kActive && image.starts_with("functions/")) car.take_licence(order);
    if (state == State::kActive) car.install(image, 2);
    car.say(order, state);
    car.orders.at(order).conditions = {{"Vehicle.Powertrain.Transmission.SelectedGear", "126"},
                                       {"Vehicle.Powertrain.TractionBattery.SoC", charge}};
    REQUIRE(car.report().status == 200);
  }
}

}  // namespace

TEST_CASE(
    "P5.4: an export holds orders, consents, offers, downloads, conditions, results, software") {
  ReadyWorld world;
  world.publish("software/hu-4/2.0.img", 2);
  REQUIRE(world
              .put("/v1/rollouts/spring", world.operator_token,
                   {{"image", "software/hu-4/2.0.img"}, {"state", "running"}})
              .status == 201);
  const std::string function =
      world.order_function("adaptive-cruise", world.owner_token).body["id"];
  poll(world);
  REQUIRE(world
              .put(kCar + "/consents/software-updates", world.owner_token,
                   {{"language", "de"}, {"text_version", "2026-10\n"}})
              .status == 200);
  poll(world);
  poll(world);  // nothing new: no record
  std::string software;
  const Answered orders = world.get(kCar + "/orders", world.owner_token);
  for (const Json& order : orders.body["orders"])
    if (order["kind"] == "software") software = order["id"];
  install(world, function, "functions/adaptive-cruise/1.0.pkg", "71");
  install(world, software, "software/hu-4/2.0.img", "70");
  const Exported trail = export_of(world, world.owner_token);

  // Orders: who, what, when.
  const Json ordered = trail.only("order-ordered", function);
  CHECK(ordered["who"] == world.owner);
  CHECK(ordered["at"] == "2026-11-22T06:00:00Z");
  CHECK(ordered["data"]["product"] == "adaptive-cruise");
  CHECK(trail.only("order-ordered", software)["data"]["images"][0] == "software/hu-4/2.0.img");
  // Consents: to which text, in which language, by whom, when.
  const Json consent = trail.only("consent-given");
  CHECK(consent["who"] == world.owner);
  CHECK(consent["data"]["text_version"] == "2026-10\n");
  CHECK(consent["data"]["language"] == "de");
  CHECK(consent["data"]["at"] == "2026-11-22T06:00:00Z");
  // Offers: what the Director signed for the car, by digest, and when.
  const std::vector<Json> offers = trail.all("offered");
  REQUIRE(offers.size() == 2);
  CHECK(offers[0]["who"] == "system");
  CHECK(offers[0]["data"]["targets_version"] == 1);
  REQUIRE(offers[0]["data"]["orders"].size() == 1);
  CHECK(offers[0]["data"]["orders"][0]["id"] == function);
  CHECK(offers[0]["data"]["orders"][0]["action"] == "install");
  REQUIRE(offers[1]["data"]["orders"].size() == 2);
  const Json offered = offers[1]["data"]["orders"][1];
  CHECK(offered["id"] == software);
  CHECK(offered["images"][0]["name"] == "software/hu-4/2.0.img");
  CHECK(offered["images"][0]["sha256"] == to_hex(ShopWorld::digest_of("software/hu-4/2.0.img")));
  const auto targets =
      server::director_document(world.services.store, kVinOfCar, manifest::Role::kTargets, 2);
  CHECK(offers[1]["data"]["targets_sha256"] == to_hex(crypto::sha256(as_bytes(**targets))));
  // Downloads, the conditions at the installation, results.
  for (const std::string& order : {function, software}) {
    CHECK(trail.only("order-staged", order)["data"]["cause"] == "payload-ready");
    CHECK(trail.only("order-downloading", order)["who"] == kVin);
    CHECK(trail.only("order-downloaded", order)["data"]["details"]["bytes_done"] == 900);
    const Json begun = trail.only("order-activating", order)["data"]["details"];
    CHECK(begun["conditions"]["Vehicle.Powertrain.Transmission.SelectedGear"] == "126");
    CHECK(begun["conditions"]["Vehicle.Powertrain.TractionBattery.SoC"] ==
          (order == function ? "71" : "70"));
    CHECK(trail.only("order-active", order)["data"]["details"]["reported"] == "active");
  }
  // The software identification before and after, slot by slot.
  const Json changed = trail.all("installed").back()["data"];
  CHECK(changed["before"]["installed"]["software"]["image"] == "software/hu-4/1.0.img");
  CHECK(changed["after"]["installed"]["software"]["image"] == "software/hu-4/2.0.img");
  CHECK(changed["before"]["installed"]["software"]["sha256"] ==
        to_hex(ShopWorld::digest_of("software/hu-4/1.0.img")));
  CHECK(changed["after"]["installed"]["software"]["sha256"] ==
        to_hex(ShopWorld::digest_of("software/hu-4/2.0.img")));
  CHECK(changed["after"]["installed"]["map.DE"] == changed["before"]["installed"]["map.DE"]);
  CHECK(changed["after"]["functions"]["adaptive-cruise"]["state"] == "active");
}

TEST_CASE(
    "P5.4: a second try's conditions are in the trail, though the order does not move for it") {
  ReadyWorld world;
  world.publish("maps/DE/2.tar", 2);
  const std::string order = world.order_map({"DE"}, world.owner_token).body["id"];
  install(world, order, "maps/DE/1.tar", "60");  // says active, but has the old one: not believed
  world.car.orders.at(order).state = State::kInstalling;
  world.car.orders.at(order).conditions["Vehicle.Powertrain.TractionBattery.SoC"] = "55";
  REQUIRE(world.car.report().status == 200);
  REQUIRE(world.car.report().status == 200);
  const Exported trail = export_of(world, world.operator_token);
  CHECK(trail.only("order-activating", order)["data"]["details"]["conditions"].size() == 2);
  CHECK(trail.only("order-error", order)["data"]["error"]["name"] == "wrong-image");
  const Json second = trail.only("order-conditions", order)["data"];
  CHECK(second["conditions"]["Vehicle.Powertrain.TractionBattery.SoC"] == "55");
  CHECK(second["reported"] == "installing");
}

TEST_CASE("P5.4 P1.10: an owner exports the own part, others the whole; one goes on from another") {
  ReadyWorld world;
  const Exported before = export_of(world, world.operator_token);
  CHECK(before.verified.from() == server::AuditHead{});
  REQUIRE(world.post(kCar + "/hand-over", world.owner_token, nullptr, "k").status == 200);
  CHECK(world.get(kCar + "/audit/export", world.owner_token).status == 404);
  world.car.pair(world.second_token);
  world.add_user(world.second_token, world.owner_token);
  CHECK(world.get(kCar + "/audit/export", world.owner_token).code() == "owner-only");

  const Exported own = export_of(world, world.second_token);
  CHECK(own.verified.from().seq > 0);
  CHECK(own.document["signed"]["records"].dump().find(world.owner) != std::string::npos);
  CHECK(own.document["signed"]["records"][0]["seq"] == own.verified.from().seq + 1);
  CHECK(own.document["signed"]["records"].dump().find("order-ordered") == std::string::npos);
  const Exported whole = export_of(world, world.partner_token);
  CHECK(whole.verified.head() == own.verified.head());
  CHECK(whole.verified.digest_at(own.verified.from().seq) == own.verified.from().digest);
  CHECK(manifest::verify_audit_extends(before.verified, whole.verified));
  CHECK(manifest::verify_audit_extends(own.verified, whole.verified));

  const Exported later = export_of(world, world.operator_token, "?after=2");
  CHECK(later.verified.from().seq == 2);
  CHECK(world.get(kCar + "/audit/export?after=x", world.operator_token).status == 400);
  CHECK(world.get(kCar + "/audit/export?after=1000", world.operator_token).status == 400);
  // A page of the list, from wherever it is asked for.
  const Json page = world.get(kCar + "/audit?after=2", world.partner_token).body;
  CHECK(page["records"][0]["seq"] == 3);
  CHECK(page["head"]["seq"] == whole.verified.head().seq);
}

TEST_CASE("P5.4: a trail that was touched in the store is not signed") {
  ReadyWorld world;
  const std::string key = server::audit_key(kVinOfCar, 2);
  std::string text = **world.services.store.get(key);
  text.replace(text.find("\"at\":\"2026"), 10, "\"at\":\"2025");
  REQUIRE(world.services.store.commit({.expectations = {}, .writes = {{key, text}}}));
  CHECK(world.get(kCar + "/audit/export", world.operator_token).status == 500);
  REQUIRE(world.services.store.commit({.expectations = {}, .writes = {{key, std::nullopt}}}));
  CHECK(world.get(kCar + "/audit/export", world.operator_token).status == 500);
}

TEST_CASE("a long trail is exported, one at a time") {
  ReadyWorld world;
  constexpr int kCommits = 25;
  constexpr int kEach = 1000;
  for (int commit = 0; commit < kCommits; ++commit) {
    server::Change change(world.services.store);
    auto affairs = *server::CarAffairs::begin(world.services, change, kVinOfCar, "system");
    for (int i = 0; i < kEach; ++i)
      affairs.record("noted", "", {{"number", i}, {"text", std::string(300, 'x')}});
    REQUIRE(change.commit());
  }
  std::vector<std::future<Answered>> asked;
  for (int i = 0; i < 4; ++i)
    asked.push_back(std::async(std::launch::async, [&world] {
      return world.get(kCar + "/audit/export", world.operator_token);
    }));
  int good = 0;
  for (auto& answer : asked) {
    const Answered got = answer.get();
    CHECK((got.status == 200 || got.code() == "unavailable"));
    good += got.status == 200 ? 1 : 0;
  }
  CHECK(good >= 1);
  const Exported trail = export_of(world, world.operator_token);
  CHECK(trail.verified.head().seq > kCommits * kEach);
}
