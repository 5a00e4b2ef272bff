// Keys of ECUs and what they signed: what a thief, a liar or a slip brings in their place.
#include <catch2/catch.hpp>

#include "server/fleet/ecu_replacement.h"
#include "tests/server/fleet/ecu_fleet.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Method;
using Fleet = EcuFleet;

TEST_CASE("P5.1 attack: what an ECU signed before a new pairing is not taken after it") {
  Fleet fleet;
  const Bytes old_word = fleet.car.new_manifest();
  fleet.car.install_secondary(kRadar, 2);
  REQUIRE(fleet.car.report().status == 200);
  fleet.car.pair(fleet.owner_token);
  SECTION("all keys stay") {
    CHECK(fleet.car.post(old_word).code() == "replay");
    CHECK(fleet.ecu("RAD-1")["installed"].is_null());
  }
  SECTION("the primary has another key, and hands on what the others said long ago") {
    fleet.car.key = crypto::MemorySigner::generate();
    fleet.car.counter = 0;
    fleet.car.pair(fleet.owner_token);
    const std::uint64_t counter = fleet.car.secondaries[2].counter;
    fleet.car.secondaries[2].counter = 0;
    CHECK(fleet.car.report().code() == "replay");
    fleet.car.secondaries[2].counter = counter;
  }
  SECTION("paired twice in a row, with nothing said in between") {
    fleet.car.pair(fleet.owner_token);
    CHECK(fleet.car.post(old_word).code() == "replay");
  }
  CHECK(fleet.car.report().status == 200);
  CHECK(fleet.ecu("RAD-1")["installed"]["software.rad-1"]["releaseCounter"] == 2);
}

TEST_CASE("attack: an ECU that comes back with its old key does not bring its old words") {
  Fleet fleet;
  SimEcu& radar = fleet.car.secondaries[2];
  const SimEcu first = radar;
  fleet.car.secondaries[2].counter = 40;
  REQUIRE(fleet.car.report().status == 200);
  for (const SimEcu& next : {SimEcu("RAD-2", "rad-1"), first}) {
    REQUIRE(fleet.authorise(radar.serial, {{"serial", next.serial}}).status == 201);
    radar = next;
    radar.counter = radar.serial == "RAD-1" ? 41 : 0;
    REQUIRE(fleet.name_ecus().status == 200);
    REQUIRE(fleet.car.report().status == 200);
  }
  radar.counter = 20;
  CHECK(fleet.car.report().code() == "replay");
}

TEST_CASE("attack: a secondary does not become the primary by pairing, unless a partner does it") {
  Fleet fleet;
  const auto pair_as = [&](const std::string& primary, const std::string& token) {
    const Answered code = fleet.post("/v1/pairing-codes", fleet.owner_token);
    Json request = fleet.car.pair_request(code.body["code"]);
    request["primary"] = primary;
    return fleet.post("/v1/pair", token, request).code();
  };
  CHECK(pair_as("CAM-1", "") == "wrong-ecus");
  CHECK(fleet.get(kCar, fleet.operator_token).body["primary"] == "HU-000017");
  CHECK(pair_as("CAM-1", fleet.partner_token).empty());
  CHECK(fleet.get(kCar, fleet.operator_token).body["primary"] == "CAM-1");
}

TEST_CASE("P5.1 attack: a key is let in when its ECU shows by a new report that it holds it") {
  Fleet fleet;
  SimEcu& radar = fleet.car.secondaries[2];
  const SimEcu first = radar;
  const auto name = [&](const Json& ecus) {
    return fleet.call(Method::kPost, "/v1/vehicle/ecus", "", {{"ecus", ecus}}, "",
                      &fleet.car.certificate);
  };
  const auto refused = [&](const Json& ecus, const std::string& why) {
    const Answered answer = name(ecus);
    REQUIRE(answer.code() == "wrong-ecus");
    REQUIRE(answer.body["reasons"].size() == 1);
    CHECK(answer.body["reasons"][0]["rule"] == "proof");
    CHECK_THAT(answer.body["reasons"][0]["text"].get<std::string>(), Catch::Contains(why));
  };
  REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
  radar = SimEcu("RAD-2", "rad-1");
  const auto with_report = [&](const Bytes& report) {
    Json ecus = fleet.car.named_ecus();
    ecus[3]["report"] = *manifest::parse_strict(report, {.bytes_max = kMiB});
    return ecus;
  };
  Json without = fleet.car.named_ecus();
  without[3].erase("report");
  refused(without, "is needed");
  // Somebody else's key, under the right name.
  SimEcu thief("RAD-2", "rad-1");
  refused(with_report(fleet.car.new_report(thief)), "key");
  SimEcu other = radar;
  other.serial = "RAD-3";
  refused(with_report(fleet.car.new_report(other)), "RAD-3");
  Json altered = fleet.car.named_ecus();
  altered[3]["report"]["signed"]["counter"] = 77;
  refused(altered, "");
  fleet.car.clock_ahead = 2 * kDaySeconds;
  refused(fleet.car.named_ecus(), "time");
  fleet.car.clock_ahead = 0;
  CHECK(fleet.ecu("RAD-1")["serial"] == "RAD-1");
  const Json right = fleet.car.named_ecus();
  REQUIRE(name(right).status == 200);
  // The answer was lost, and the car asks again, by then with a newer report or with the same.
  CHECK(name(right).status == 200);
  CHECK(fleet.name_ecus().status == 200);
  // What showed the key is no word for a manifest any more.
  radar.counter -= 2;
  CHECK(fleet.car.report().code() == "replay");
  CHECK(fleet.car.report().status == 200);
  // Nor does an old report show a key that was the car's before.
  REQUIRE(fleet.authorise("RAD-2", {{"serial", "RAD-1"}}).status == 201);
  radar = first;
  radar.counter = 0;
  refused(fleet.car.named_ecus(), "taken already");
  radar.counter = first.counter;
  CHECK(fleet.name_ecus().status == 200);
}

TEST_CASE("P2.6 attack: pairing takes no key of a secondary that does not show it") {
  ShopWorld world;
  SimCar car(world, kVin);
  car.secondaries = {{"CAM-1", "cam-2"}};
  world.register_car(car);
  const auto pair = [&](const std::string& token) {
    Json request = car.pair_request(
        world.post("/v1/pairing-codes", world.owner_token).body["code"].get<std::string>());
    request["ecus"][1].erase("report");
    return world.post("/v1/pair", token, request);
  };
  CHECK(pair("").code() == "wrong-ecus");
  const Answered told = pair(world.partner_token);
  REQUIRE(told.code() == "wrong-ecus");
  CHECK(told.body["reasons"][0]["rule"] == "proof");
  car.pair(world.owner_token);
  CHECK(car.report().status == 200);
}

TEST_CASE("attack: a car that somebody else has paired first, with his own keys, is put right") {
  ShopWorld world;
  SimCar thief(world, kVin), car(world, kVin);
  thief.secondaries = {{"CAM-1", "cam-2"}};
  car.secondaries = {{"CAM-1", "cam-2"}};
  world.register_car(car);
  thief.pair(world.second_token);
  const auto pair = [&](const std::string& token) {
    const Answered code = world.post("/v1/pairing-codes", world.owner_token);
    return world.post("/v1/pair", token, car.pair_request(code.body["code"]));
  };
  CHECK(pair("").code() == "wrong-ecus");
  const Answered told = pair(world.partner_token);
  REQUIRE(told.code() == "wrong-ecus");
  CHECK(told.body["reasons"][0]["rule"] == "key");
  REQUIRE(world.post(kCar + "/ecus/CAM-1/replacement", world.partner_token, {{"serial", "CAM-1"}})
              .status == 201);
  CHECK(pair(world.partner_token).status == 200);
  CHECK(thief.report().status == 401);
}

TEST_CASE("attack: no two ECUs of a car have one key") {
  Fleet fleet;
  REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
  SimEcu& radar = fleet.car.secondaries[2];
  radar = SimEcu("RAD-2", "rad-1");
  radar.key = fleet.car.secondaries[0].key;
  CHECK(fleet.name_ecus().code() == "wrong-ecus");
}

TEST_CASE("attack: refusals by turns do not fill the audit trail") {
  Fleet fleet;
  const Bytes known = fleet.car.new_manifest();
  REQUIRE(fleet.car.post(known).status == 200);
  const Bytes old_word = fleet.car.new_manifest();
  REQUIRE(fleet.car.report().status == 200);
  const auto one_turn = [&] {
    CHECK(fleet.car.post(old_word).code() == "replay");
    SimCar strange = fleet.car;
    strange.secondaries.emplace_back("RAD-9", "rad-1");
    CHECK(strange.report().code() == "bad-manifest");
    CHECK(fleet
              .call(Method::kPost, "/v1/vehicle/ecus", "", {{"ecus", strange.named_ecus()}}, "",
                    &fleet.car.certificate)
              .code() == "wrong-ecus");
  };
  for (int turn = 0; turn < 20; ++turn) one_turn();
  CHECK(fleet.records("manifest-refused") == 2);
  CHECK(fleet.records("ecus-refused") == 1);
  const Json shown = fleet.get(kCar, fleet.operator_token).body["refused"];
  CHECK(shown["what"] == "ecus-refused");
  CHECK(shown.size() == 4);
  fleet.base.clock.advance(kDaySeconds);
  one_turn();
  CHECK(fleet.records("manifest-refused") == 4);
  // However many kinds there are.
  auto note = [&](ErrorCode error) {
    const auto done = server::commit_with_retry(fleet.services.store, [&](server::Change& change) {
      return server::CarAffairs::begin(fleet.services, change, *manifest::Vin::parse(kVin), kVin)
          .and_then([&](server::CarAffairs affairs) {
            return server::note_refused(affairs, "manifest-refused", Error(error, "x"));
          });
    });
    REQUIRE(done);
  };
  for (const ErrorCode error :
       {ErrorCode::kBadFormat, ErrorCode::kBadSignature, ErrorCode::kBadJson, ErrorCode::kTooLarge,
        ErrorCode::kUntrustedTime, ErrorCode::kWrongVehicle, ErrorCode::kBadCanonicalJson,
        ErrorCode::kForbidden, ErrorCode::kInternal})
    note(error);
  CHECK(fleet.records("manifest-refused") + fleet.records("ecus-refused") ==
        3 + server::kRefusalsADayMax);
  fleet.check_audit();
}
