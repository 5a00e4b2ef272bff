// Cars of several ECUs: what each says of itself, sets of software, and exchanged parts.
#include <catch2/catch.hpp>

#include "server/fleet/ecu_replacement.h"
#include "tests/server/fleet/ecu_fleet.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Method;
using State = manifest::OrderState;
using Fleet = EcuFleet;

TEST_CASE("a car shows what each of its ECUs runs, as that ECU says itself") {
  Fleet fleet;
  CHECK(fleet.ecu("HU-000017")["installed"].contains("software"));
  CHECK_FALSE(fleet.ecu("HU-000017")["installed"].contains("software.cam-2"));
  CHECK(fleet.ecu("CAM-1")["installed"]["software.cam-2"]["image"] == "software/cam-2/1.img");
  CHECK(fleet.ecu("RAD-1")["installed"]["software.rad-1"]["releaseCounter"] == 1);
  fleet.car.secondaries[0].attack = "rollback: director";
  fleet.car.secondaries[1].installed->release_counter = 9;
  REQUIRE(fleet.car.report().status == 200);
  CHECK(fleet.ecu("CAM-1")["report"]["attack"] == "rollback: director");
  CHECK(fleet.records("attack-reported") == 1);
  // The slot is as far as the last of its ECUs.
  const Json all = fleet.get(kCar, fleet.operator_token).body["installed"];
  CHECK(all["software.cam-2"]["releaseCounter"] == 1);
  fleet.check_audit();
}

TEST_CASE("a set of software is one order, for every ECU that it is for") {
  Fleet fleet;
  REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
  REQUIRE(fleet.car.report().status == 200);
  REQUIRE(fleet.orders().size() == 1);
  const server::DirectorPlan plan = fleet.plan();
  REQUIRE(plan.orders.size() == 1);
  CHECK(plan.orders[0].images == std::vector<std::string>{kCamera, kRadar});
  REQUIRE(plan.images.size() == 2);
  CHECK(plan.images[0].ecus.size() == 2);
  CHECK(plan.images[1].ecus.size() == 1);
  CHECK(plan.images[1].ecus.begin()->first.text() == "RAD-1");
  CHECK(plan.held.empty());
}

TEST_CASE("a set is active when the primary says so and each of its ECUs says so itself") {
  Fleet fleet;
  REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
  REQUIRE(fleet.car.report().status == 200);
  const std::string id = fleet.orders().at(0);
  const auto say_active = [&] {
    fleet.car.say(id, State::kActive);
    REQUIRE(fleet.car.report().status == 200);
    return fleet.order_state(id);
  };
  CHECK(say_active() == "staged");
  CHECK(fleet.order(id)["error"]["name"] == "wrong-image");
  fleet.car.install_secondary(kCamera, 2);
  CHECK(say_active() == "staged");
  fleet.car.install_secondary(kRadar, 2);
  fleet.car.secondaries[1].installed->sha256.fill(7);  // one camera runs something else
  CHECK(say_active() == "staged");
  fleet.car.install_secondary(kCamera, 2);
  CHECK(say_active() == "active");
  REQUIRE(fleet.car.report().status == 200);
  CHECK(fleet.orders().size() == 1);
  CHECK(fleet.car.desired().empty());
  fleet.check_audit();
}

TEST_CASE("an ECU that is silent holds up nothing but what is for it") {
  Fleet fleet;
  const auto shows = [&](const std::string& serial) {
    const Json ecu = fleet.ecu(serial);
    return ecu.contains("silent") ? ecu["silent"]["reason"].get<std::string>() : std::string();
  };
  SimEcu& camera = fleet.car.secondaries[0];
  SimEcu& radar = fleet.car.secondaries[2];
  REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
  REQUIRE(fleet.car.report().status == 200);
  const std::string id = fleet.orders().at(0);
  camera.silent = "unavailable";
  fleet.car.install("software/hu-4/3.img", 3);
  REQUIRE(fleet.car.report().status == 200);
  CHECK(shows("CAM-1") == "unavailable");
  CHECK(shows("CAM-2").empty());
  CHECK(fleet.get(kCar, fleet.operator_token).body["installed"]["software"]["releaseCounter"] == 3);
  // What it said last still stands: here, and in the whole picture.
  CHECK(fleet.ecu("CAM-1")["installed"]["software.cam-2"]["image"] == "software/cam-2/1.img");
  const auto slot = [&] {
    return fleet.get(kCar, fleet.operator_token).body["installed"]["software.cam-2"];
  };
  CHECK(slot()["releaseCounter"] == 1);
  // The primary's word does not make a set active: the camera has not named the image itself.
  fleet.car.install_secondary(kCamera, 2);
  fleet.car.install_secondary(kRadar, 2);
  fleet.car.say(id, State::kActive);
  REQUIRE(fleet.car.report().status == 200);
  CHECK(fleet.order_state(id) == "staged");
  CHECK(slot()["releaseCounter"] == 1);
  SECTION("it speaks again") {
    camera.silent.clear();
    REQUIRE(fleet.car.report().status == 200);
    CHECK(shows("CAM-1").empty());
    CHECK(fleet.order_state(id) == "active");
  }
  SECTION("another one falls silent that has named the image already") {
    camera.silent.clear();
    camera.installed->release_counter = 1;
    camera.installed->sha256.fill(7);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.order_state(id) == "staged");
    fleet.car.install_secondary(kCamera, 2);
    radar.silent = "unavailable";
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.order_state(id) == "active");
  }
  SECTION("its old word does not come back as a new one") {
    --camera.counter;
    camera.silent.clear();
    CHECK(fleet.car.report().code() == "replay");
  }
  SECTION("all of them may be") {
    for (SimEcu& ecu : fleet.car.secondaries) ecu.silent = "bad-signature";
    REQUIRE(fleet.car.report().status == 200);
    CHECK(shows("RAD-1") == "bad-signature");
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.order_state(id) == "staged");
  }
  fleet.check_audit();
}

TEST_CASE("a silence of a day is recorded, once; one that comes and goes is not") {
  Fleet fleet;
  SimEcu& camera = fleet.car.secondaries[0];
  const auto report = [&](const std::string& silent) {
    camera.silent = silent;
    REQUIRE(fleet.car.report().status == 200);
  };
  for (int i = 0; i < 50; ++i) {
    fleet.base.clock.advance(3600);
    report("unavailable");
    report("");
  }
  CHECK(fleet.records("ecu-fell-silent") == 0);
  for (int i = 0; i < 50; ++i) {
    fleet.base.clock.advance(3600);
    report(i % 2 == 0 ? "unavailable" : "bad-signature");
  }
  CHECK(fleet.records("ecu-fell-silent") == 1);
  CHECK(fleet.records("ecu-heard-again") == 0);
  report("");
  CHECK(fleet.records("ecu-heard-again") == 1);
  report("unavailable");
  report("");
  CHECK(fleet.records("ecu-fell-silent") == 1);
  CHECK(fleet.records("ecu-heard-again") == 1);
  fleet.check_audit();
}

TEST_CASE("a set fits a car as a whole, and leaves out what the car runs already") {
  Fleet fleet;
  fleet.publish_for_secondary("software/lid-1/2.img", 2);
  SECTION("no ECU for one of its images") {
    REQUIRE(fleet.roll_out({kCamera, "software/lid-1/2.img"}).status == 201);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().empty());
  }
  SECTION("one ECU is ahead of it") {
    fleet.car.secondaries[1].installed->release_counter = 3;
    REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().empty());
  }
  SECTION("half of it is there") {
    fleet.car.install_secondary(kCamera, 2);
    REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.order(fleet.orders().at(0))["images"] == Json::array({kRadar}));
  }
  SECTION("only one of two like ECUs has it") {
    fleet.car.install_secondary(kCamera, 2);
    fleet.car.secondaries[0].installed->sha256.fill(7);
    fleet.car.secondaries[0].installed->release_counter = 1;
    REQUIRE(fleet.roll_out({kCamera}).status == 201);
    REQUIRE(fleet.car.report().status == 200);
    CHECK(fleet.orders().size() == 1);
  }
}

TEST_CASE("a rollout names each slot once, and the primary's software by itself") {
  Fleet fleet;
  fleet.publish("software/hu-4/2.img", 2);
  fleet.publish_for_secondary("software/cam-2/3.img", 3);
  CHECK(fleet.roll_out({kCamera, "software/cam-2/3.img"}).code() == "invalid-argument");
  CHECK(fleet.roll_out({kCamera, "software/hu-4/2.img"}).code() == "invalid-argument");
  CHECK(fleet.roll_out({kCamera, "software/none/2.img"}).status == 404);
  CHECK(fleet.roll_out(Json::array()).status == 400);
  // The primary's and the others' go out beside each other.
  REQUIRE(fleet.roll_out({kCamera, kRadar}).status == 201);
  REQUIRE(fleet
              .put("/v1/rollouts/head", fleet.operator_token,
                   {{"image", "software/hu-4/2.img"}, {"state", "running"}})
              .status == 201);
  REQUIRE(fleet.car.report().status == 200);
  CHECK(fleet.orders().size() == 2);
  const server::DirectorPlan plan = fleet.plan();
  for (const auto& image : plan.images)
    if (image.name == "software/hu-4/2.img") {
      REQUIRE(image.ecus.size() == 1);
      CHECK(image.ecus.begin()->first.text() == "HU-000017");
    }
}

TEST_CASE("two replacements at once are let in one by one or together") {
  Fleet fleet;
  REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
  REQUIRE(fleet.authorise("CAM-1", {{"serial", "CAM-3"}}).status == 201);
  std::vector<SimEcu>& ecus = fleet.car.secondaries;
  const auto replaced = [&] {
    const Answered named = fleet.name_ecus();
    REQUIRE(named.status == 200);
    return named.body["replaced"].size();
  };
  SECTION("together") {
    ecus[0] = SimEcu("CAM-3", "cam-2");
    ecus[2] = SimEcu("RAD-2", "rad-1");
    CHECK(replaced() == 2);
  }
  SECTION("one after the other") {
    ecus[2] = SimEcu("RAD-2", "rad-1");
    CHECK(replaced() == 1);
    CHECK(fleet.ecu("CAM-1")["replacement"]["serial"] == "CAM-3");
    ecus[0] = SimEcu("CAM-3", "cam-2");
    CHECK(replaced() == 1);
  }
  SECTION("one has expired: neither is let in with it, and the other one by itself") {
    fleet.base.clock.advance(kDaySeconds / 2);
    REQUIRE(fleet.authorise("CAM-1", {{"serial", "CAM-3"}}).status == 201);
    fleet.base.clock.advance(kDaySeconds / 2);
    const SimEcu radar = ecus[2];
    ecus[0] = SimEcu("CAM-3", "cam-2");
    ecus[2] = SimEcu("RAD-2", "rad-1");
    CHECK(fleet.name_ecus().code() == "wrong-ecus");
    CHECK(fleet.ecu("CAM-1")["serial"] == "CAM-1");
    ecus[2] = radar;
    CHECK(replaced() == 1);
  }
  SECTION("one is withdrawn, also after it was used") {
    ecus[2] = SimEcu("RAD-2", "rad-1");
    CHECK(replaced() == 1);
    for (const auto& [ecu, status] : {std::pair("RAD-1", 404), {"RAD-2", 204}, {"CAM-1", 204}})
      CHECK(fleet.call(Method::kDelete, kCar + "/ecus/" + ecu + "/replacement", fleet.partner_token)
                .status == status);
    ecus[0] = SimEcu("CAM-3", "cam-2");
    CHECK(fleet.name_ecus().code() == "wrong-ecus");
    ecus[0] = SimEcu("CAM-1", "cam-2");
    CHECK(fleet.name_ecus().code() == "wrong-ecus");  // another key than the first CAM-1's
    return;
  }
  CHECK(fleet.car.report().status == 200);
  fleet.check_audit();
}

TEST_CASE("an exchanged ECU that nobody has let in is refused, and that is recorded") {
  Fleet fleet;
  SimEcu& radar = fleet.car.secondaries[2];
  SECTION("another serial") {
    radar = SimEcu("RAD-2", "rad-1");
  }
  SECTION("another key") {
    radar = SimEcu("RAD-1", "rad-1");
  }
  SECTION("one too many") {
    fleet.car.secondaries.emplace_back("RAD-2", "rad-1");
  }
  for (int i = 0; i < 3; ++i) {
    const Answered refused = fleet.car.report();
    CHECK(refused.code() == "bad-manifest");
    CHECK(refused.body["detail"].get<std::string>().starts_with("wrong-ecu"));
  }
  // Once, however often the car says it again that day.
  CHECK(fleet.records("manifest-refused") == 1);
  const Json shown = fleet.get(kCar, fleet.operator_token).body;
  CHECK(shown["refused"]["error"] == "wrong-ecu");
  CHECK(fleet.name_ecus().code() == "wrong-ecus");
  CHECK(fleet.records("ecus-refused") == 1);
  fleet.base.clock.advance(kDaySeconds);
  CHECK(fleet.car.report().code() == "bad-manifest");
  CHECK(fleet.records("manifest-refused") == 2);
  // Nor by pairing: the owner's code is not enough.
  const Answered pairing = fleet.post("/v1/pairing-codes", fleet.owner_token);
  CHECK(fleet.post("/v1/pair", "", fleet.car.pair_request(pairing.body["code"])).code() ==
        "wrong-ecus");
  fleet.check_audit();
}

TEST_CASE("an authorised replacement is let in once, with an audit record and word to the owner") {
  Fleet fleet;
  const auto reject = [&](const std::string& token) {
    return fleet.post(kCar + "/ecus/RAD-1/replacement", token, {{"serial", "RAD-2"}}).status;
  };
  CHECK(reject(fleet.owner_token) == 403);
  CHECK(reject(fleet.second_token) == 404);
  CHECK(fleet.authorise("RAD-9", {{"serial", "RAD-2"}}).status == 404);
  CHECK(fleet.authorise("RAD-1", {{"serial", "CAM-1"}}).code() == "conflict");
  const Answered allowed = fleet.authorise("RAD-1", {{"serial", "RAD-2"}});
  REQUIRE(allowed.status == 201);
  CHECK(allowed.body["hardware_id"] == "rad-1");
  CHECK(fleet.authorise("CAM-1", {{"serial", "RAD-2"}}).code() == "conflict");
  CHECK(fleet.ecu("RAD-1")["replacement"]["serial"] == "RAD-2");
  CHECK(fleet.car.report().status == 200);  // the old one still is the car's
  const Bytes old_word = fleet.car.new_manifest();

  SimEcu& radar = fleet.car.secondaries[2];
  SECTION("by the car itself") {
    radar = SimEcu("RAD-2", "rad-1");
    const Answered named = fleet.name_ecus();
    REQUIRE(named.status == 200);
    CHECK(named.body["replaced"][0]["serial"] == "RAD-2");
    CHECK(fleet.name_ecus().body["replaced"].empty());  // said again
  }
  SECTION("by pairing") {
    radar = SimEcu("RAD-2", "rad-1");
    fleet.car.pair(fleet.owner_token);
  }
  radar.installed.reset();
  CHECK(fleet.car.report().status == 200);
  CHECK(fleet.ecu("RAD-1").is_null());
  CHECK_FALSE(fleet.ecu("RAD-2").contains("replacement"));
  CHECK(fleet.records("ecu-replacement-authorised") == 1);
  CHECK(fleet.records("ecu-replaced") == 1);
  const auto told = fleet.messages();
  CHECK(std::count(told.begin(), told.end(), "ecu-replaced") == 1);
  // What the old one signed counts no longer, and it does not come back by itself.
  CHECK(fleet.car.post(old_word).status / 100 == 4);
  radar = SimEcu("RAD-1", "rad-1");
  CHECK(fleet.name_ecus().code() == "wrong-ecus");
  fleet.check_audit();
}

TEST_CASE("a replacement is good for one part, one key and one day") {
  Fleet fleet;
  SimEcu& radar = fleet.car.secondaries[2];
  SECTION("a new key for the same part") {
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-1"}}).status == 201);
    CHECK(fleet.name_ecus().body["replaced"].empty());  // the old key is no new one
    radar = SimEcu("RAD-1", "rad-1");
    REQUIRE(fleet.name_ecus().status == 200);
    CHECK(fleet.car.report().status == 200);
    radar = SimEcu("RAD-1", "rad-1");
    CHECK(fleet.name_ecus().code() == "wrong-ecus");
  }
  SECTION("another part than the one named") {
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
    radar = SimEcu("RAD-3", "rad-1");
    CHECK(fleet.name_ecus().code() == "wrong-ecus");
  }
  SECTION("other hardware than was said") {
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
    radar = SimEcu("RAD-2", "rad-5");
    CHECK(fleet.name_ecus().code() == "wrong-ecus");
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}, {"hardware_id", "rad-5"}}).status ==
            201);
    CHECK(fleet.name_ecus().status == 200);
  }
  SECTION("a day later") {
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
    fleet.base.clock.advance(server::kReplacementSeconds);
    radar = SimEcu("RAD-2", "rad-1");
    CHECK(fleet.name_ecus().code() == "wrong-ecus");
    fleet.sweep();
    CHECK(fleet.all_stored().find("ecu-replacement/") == std::string::npos);
  }
  SECTION("authorised anew, it is not forgotten with the first one") {
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
    fleet.base.clock.advance(server::kReplacementSeconds / 2);
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-3"}}).status == 201);
    fleet.base.clock.advance(server::kReplacementSeconds / 2);
    fleet.sweep();
    radar = SimEcu("RAD-3", "rad-1");
    CHECK(fleet.name_ecus().status == 200);
  }
  SECTION("authorised anew before the first one, over by then, is forgotten") {
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
    fleet.base.clock.advance(server::kReplacementSeconds);
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-3"}}).status == 201);
    fleet.sweep();
    radar = SimEcu("RAD-3", "rad-1");
    CHECK(fleet.name_ecus().status == 200);
  }
  SECTION("withdrawn") {
    REQUIRE(fleet.authorise("RAD-1", {{"serial", "RAD-2"}}).status == 201);
    const std::string path = kCar + "/ecus/RAD-1/replacement";
    CHECK(fleet.call(Method::kDelete, path, fleet.partner_token).status == 204);
    CHECK(fleet.call(Method::kDelete, path, fleet.partner_token).status == 204);
    CHECK(fleet.records("ecu-replacement-withdrawn") == 1);
    CHECK(
        fleet.call(Method::kDelete, kCar + "/ecus/RAD-9/replacement", fleet.partner_token).status ==
        404);
    radar = SimEcu("RAD-2", "rad-1");
    CHECK(fleet.name_ecus().code() == "wrong-ecus");
  }
  fleet.check_audit();
}

TEST_CASE("the primary is replaced by pairing, and its key by nothing else") {
  Fleet fleet;
  const auto old_key = fleet.car.key;
  fleet.car.key = crypto::MemorySigner::generate();
  CHECK(fleet.name_ecus().code() == "wrong-ecus");
  fleet.car.key = old_key;
  REQUIRE(fleet.authorise("HU-000017", {{"serial", "HU-2"}}).status == 201);
  fleet.car.serial = "HU-2";
  CHECK(fleet.name_ecus().code() == "wrong-ecus");
  fleet.car.key = crypto::MemorySigner::generate();
  fleet.car.pair(fleet.owner_token);
  CHECK(fleet.car.report().status == 200);
  CHECK(fleet.get(kCar, fleet.operator_token).body["primary"] == "HU-2");
  CHECK(fleet.records("ecu-replaced") == 1);
}
