// The agent and its secondaries: one ECU's software, sets that are installed whole or not at all,
// and what happens when somebody is missing, unwell, or loses power.
#include "tests/secondary/car.h"

#include <catch2/catch.hpp>

#include "agent/status.h"

using namespace layby;
using namespace layby::tests;
using agent::State;
using secondary::MessageType;

namespace {

const manifest::InstalledImage& installed(const manifest::EcuReport& report) {
  REQUIRE(report.installed.size() == 1);
  return report.installed.begin()->second;
}

bool lock_and_run(Car& car, const manifest::OrderId& id, State state, std::int64_t seconds = 3600) {
  car.world.exit_and_lock();
  return car.world.run_until_state(id, state, seconds);
}

}  // namespace

TEST_CASE("One secondary's software is updated; the server hears it from that ECU itself") {
  Car car;
  World& world = car.world;
  world.vehicle.drive();
  const auto id = car.order_one();
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  // P4.1: nothing of it is on the ECU before the car is left and locked.
  CHECK(car.ecus.at(kBrakeSerial)->ecu->state().phase == secondary::Phase::kIdle);
  CHECK(car.ecus.at(kBrakeSerial)->ecu->state().wanted->release_counter == 2);
  REQUIRE(lock_and_run(car, id, State::kActive));
  CHECK(car.kept_by(kBrakeSerial) == "new");
  CHECK(car.kept_by(kCameraSerial) == "old");
  REQUIRE(world.run(60));
  const auto sha256 = crypto::sha256(car.new_software);
  CHECK(installed(world.server.reports_of(kBrakeSerial).back()).sha256 == sha256);
  CHECK(installed(world.server.reports_of(kCameraSerial).back()).release_counter == 0);
  // The primary speaks of itself only.
  for (const auto& [slot, image] : world.server.reports().back().installed)
    CHECK_FALSE(slot.is_secondary());
  const auto status = agent::status(world.disk, world.clock, agent::Layout(kState),
                                    agent::Daemon::kRunning, agent::StatusForm::kJson);
  REQUIRE(status);
  CHECK(status->find("\"BRK-1\":{\"at\":") != std::string::npos);
  CHECK(status->find("software/brake-2/2.img") != std::string::npos);

  SECTION("the next release comes as a delta from what the primary has kept") {
    const Bytes third = changed(car.new_software, 53);
    car.publish(3, third, car.new_software);
    world.server.cancel(id);
    const auto next = world.server.order({"software/brake-2/3.img"});
    world.vehicle.drive();
    REQUIRE(world.run_until_state(next, State::kDownloaded, 3600));
    CHECK(world.order(next)->images.front().payload()->base == sha256);
    REQUIRE(lock_and_run(car, next, State::kActive));
    CHECK(car.ecus.at(kBrakeSerial)->kept() == third);
  }
}

TEST_CASE("A supplier's role of which the primary needs no file any more is handed on (P5.1)") {
  Car car;
  World& world = car.world;
  world.vehicle.drive();
  world.publish_maps();
  world.server.suppliers["anna"] = {.path = "*/*/*"};
  world.server.publish({.name = "maps/DE/3.tar",
                        .bytes = world.new_regions["DE"],
                        .base = {},
                        .release_counter = 3,
                        .supplier = "anna"});
  world.server.publish({.name = "software/brake-2/3.img",
                        .bytes = car.new_software,
                        .base = {},
                        .release_counter = 3,
                        .supplier = "anna"});
  const std::string role = "/v1/repositories/image/metadata/1.anna.json";
  const std::string directory = std::string(kState) + "/trust/image/delegated";
  const auto map = world.server.order({"maps/DE/3.tar"});
  REQUIRE(world.run_until_state(map, State::kDownloaded, 3600));
  REQUIRE(world.disk.list(directory).value().size() == 1);
  world.server.cancel(map);
  const auto plain = world.server.order({"maps/FR/2.tar"});
  REQUIRE(world.run_until_state(plain, State::kDownloaded, 3600));
  REQUIRE(world.disk.list(directory).value().empty());

  const auto id = world.server.order({"software/brake-2/3.img"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  REQUIRE(lock_and_run(car, id, State::kActive));
  CHECK(car.kept_by(kBrakeSerial) == "new");
  CHECK(world.server.paths[role] == 1);
}

TEST_CASE(
    "A supplier's software for an ECU that verifies fully: the primary hands the role on (P5.1)") {
  Car car;
  World& world = car.world;
  world.vehicle.drive();
  world.server.suppliers["lens/eye"] = {
      .path = "software/camera-?/*", .hardware = {manifest::HardwareId::parse("camera-3").value()}};
  world.server.publish({.name = "software/camera-3/2.img",
                        .bytes = car.new_software,
                        .base = car.old_software,
                        .release_counter = 2,
                        .supplier = "lens/eye"});
  const auto id = world.server.order({"software/camera-3/2.img"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  CHECK(car.ecus.at(kCameraSerial)->ecu->state().wanted->release_counter == 2);
  REQUIRE(lock_and_run(car, id, State::kActive));
  CHECK(car.kept_by(kCameraSerial) == "new");
  // Once for the whole car, whoever needs it and whoever starts anew.
  car.ecus.at(kCameraSerial)->start();
  world.start();
  world.run(3600);
  CHECK(world.server.paths["/v1/repositories/image/metadata/1.lens%2Feye.json"] == 1);
  CHECK(car.ecus.at(kCameraSerial)->disk.list("/ecu/trust/image/delegated").value() ==
        std::vector<std::string>{"lens%2Feye.json"});
  CHECK(world.server.reports_of(kCameraSerial).back().attack.empty());

  SECTION("revoked: neither of the two takes any more of it") {
    world.server.suppliers["lens/eye"].is_delegated = false;
    world.server.publish({.name = "software/camera-3/3.img",
                          .bytes = changed(car.new_software, 53),
                          .base = {},
                          .release_counter = 3,
                          .supplier = "lens/eye"});
    world.server.cancel(id);
    const auto next = world.server.order({"software/camera-3/3.img"});
    world.vehicle.drive();
    world.run(3600);
    CHECK_FALSE(world.state(next));
    CHECK(car.ecus.at(kCameraSerial)->ecu->state().wanted->release_counter == 2);
    CHECK(world.server.reports().back().attack.starts_with("repositories-disagree: "));
  }
}

TEST_CASE("A set of two ECUs is installed together") {
  Car car;
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  // None of them keeps anything before all have passed their checks.
  int passed = 0;
  car.link.at_question = [&](const auto& address, const secondary::Message& question) {
    if (question.type != MessageType::kKeep) return;
    for (const auto& [serial, box] : car.ecus)
      if (serial == address) CHECK(box->ecu->state().phase == secondary::Phase::kPassed);
    if (++passed == 1) CHECK(car.kept() == "old");
  };
  REQUIRE(lock_and_run(car, id, State::kActive));
  CHECK(passed == 2);
  CHECK(car.kept() == "new");
  REQUIRE(car.world.run(60));
  for (const auto& serial : {kBrakeSerial, kCameraSerial})
    CHECK(installed(car.world.server.reports_of(serial).back()).release_counter == 2);
}

TEST_CASE("A set with one that fails its health check ends with both old") {
  Car car;
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  car.ecus.at(kCameraSerial)->firmware.is_well = false;
  for (int locks = 0; locks < 6 && car.world.state(id) != State::kFailed; ++locks) {
    car.world.exit_and_lock();
    car.world.run(3600);
    CHECK(car.kept() == "old");
  }
  CHECK(car.world.state(id) == State::kFailed);
  CHECK(car.world.order(id)->error->code() == ErrorCode::kHealthCheckFailed);
  for (const auto& [serial, box] : car.ecus) CHECK(box->firmware.running == box->firmware.kept);
  CHECK(car.world.server.reported(id)->state == manifest::OrderState::kFailed);
  for (const auto& serial : {kBrakeSerial, kCameraSerial})
    CHECK(installed(car.world.server.reports_of(serial).back()).release_counter == 0);
}

TEST_CASE("The head unit's own software does not go into one order with that of other ECUs") {
  Car car;
  car.publish(2, car.new_software, car.old_software);
  car.world.publish_software();
  const auto id = car.world.server.order({"software/hu-4/2.0.0.img", "software/brake-2/2.img"});
  REQUIRE(car.world.run_until_state(id, State::kRefused, 600));
  CHECK(car.world.order(id)->error->code() == ErrorCode::kUnsupported);
}

TEST_CASE("An ECU that is off when the set begins is waited for, and nothing is switched") {
  Car car;
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  car.link.down = {kCameraSerial};
  CHECK_FALSE(lock_and_run(car, id, State::kActive, 300));
  CHECK(car.world.state(id) == State::kInstalling);
  CHECK(car.kept() == "old");
  car.link.down.clear();
  REQUIRE(car.world.run_until_state(id, State::kActive, 3600));
  CHECK(car.kept() == "new");
}

TEST_CASE(
    "An ECU that starts anew in its trial is switched once more; one that stays off ends it") {
  Car car;
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  bool is_cut = false;
  const bool comes_back = GENERATE(true, false);
  car.link.at_question = [&](const auto& address, const secondary::Message& question) {
    if (is_cut || address != kCameraSerial || question.type != MessageType::kCheck) return;
    is_cut = true;
    car.ecus.at(kCameraSerial)->start();
    if (!comes_back) car.link.down = {kCameraSerial};
  };
  if (comes_back) {
    REQUIRE(lock_and_run(car, id, State::kActive));
    CHECK(car.kept() == "new");
  } else {
    CHECK_FALSE(lock_and_run(car, id, State::kActive, 3600));
    CHECK(car.kept() == "old");
    car.link.down.clear();
    car.world.run(3600);
    for (int locks = 0; locks < 3 && car.world.state(id) != State::kActive; ++locks)
      lock_and_run(car, id, State::kActive);
    CHECK(car.kept() == "new");
  }
  CHECK(is_cut);
}

TEST_CASE("Once the word is given the set is kept, however long one of them is off") {
  Car car;
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  car.link.at_question = [&](const auto& address, const secondary::Message& question) {
    if (address == kCameraSerial && question.type == MessageType::kKeep)
      car.link.down = {kCameraSerial};
  };
  CHECK_FALSE(lock_and_run(car, id, State::kActive, 7200));
  CHECK(car.world.state(id) == State::kConfirming);
  REQUIRE(car.world.order(id)->undo.error);
  // Everything else goes on meanwhile.
  const auto maps = order_maps(car.world);
  REQUIRE(car.world.run_until_state(maps, State::kDownloaded, 7200));
  REQUIRE(lock_and_run(car, maps, State::kActive));
  // The whole car loses power, and the camera comes back.
  car.world.start();
  for (const auto& [serial, box] : car.ecus) box->power_cut(MemoryDisk::Survives::kOnlySynced, 1);
  car.link.at_question = {};
  car.link.down.clear();
  REQUIRE(car.world.run_until_state(id, State::kActive, 3600));
  CHECK(car.kept() == "new");
}

TEST_CASE("P4.7: the primary loses power between any two messages: all new or all old") {
  Car base;
  const auto id = base.order_set();
  REQUIRE(base.world.run_until_state(id, State::kDownloaded, 600));
  base.world.run(60);
  base.world.vehicle.stand_open();
  base.world.run(0);
  base.world.agent.reset();
  bool is_over = false;
  for (std::uint64_t at = 1; !is_over; ++at) {
    for (const auto cut : {CarLink::Cut::kBefore, CarLink::Cut::kAfter}) {
      // Of the primary alone, or of the whole car.
      for (const bool is_whole_car : {false, true}) {
        Car car(base);
        car.world.vehicle.park_locked();
        car.world.start();
        car.link.cut_at = car.link.messages + at;
        car.link.cut = cut;
        INFO("message " << at << ", " << (cut == CarLink::Cut::kBefore ? "before" : "after") << ", "
                        << (is_whole_car ? "the whole car" : "the primary"));
        try {
          is_over = car.world.run_until_state(id, State::kActive, 3600);
        } catch (const PowerCut&) {
          car.world.agent.reset();
          car.world.disk.restart(MemoryDisk::Survives::kOnlySynced, 1);
          if (is_whole_car)
            for (const auto& [serial, box] : car.ecus)
              box->power_cut(MemoryDisk::Survives::kOnlySynced, 1);
          car.world.start();
        }
        car.link.cut_at = 0;
        car.world.run(3600);
        const std::string now = car.kept();
        REQUIRE((now == "old" || now == "new"));
        for (int locks = 0; locks < 2 && car.world.state(id) != State::kActive; ++locks)
          lock_and_run(car, id, State::kActive);
        REQUIRE(car.world.state(id) == State::kActive);
        REQUIRE(car.kept() == "new");
      }
    }
  }
}

TEST_CASE("What a secondary refuses stands in its own report, and the car goes on") {
  Car car;
  car.world.run(60);
  // A primary that was taken over.
  const auto said = car.ecus.at(kCameraSerial)
                        ->ecu->answer(secondary::make_digest(MessageType::kBegin,
                                                             crypto::sha256(as_bytes("evil"))));
  CHECK(said.type == MessageType::kError);
  car.world.agent->check_now();
  car.world.run(3600);
  bool is_told = false;
  for (const auto& report : car.world.server.reports_of(kCameraSerial))
    is_told = is_told || report.attack.starts_with("wrong-image: ");
  CHECK(is_told);
  car.world.run(kDaySeconds);
  car.world.agent->check_now();
  car.world.run(60);
  CHECK(car.world.server.reports_of(kCameraSerial).back().attack.empty());
}

TEST_CASE("A manifest leaves no ECU out: one that is silent is named, and none repeats itself") {
  Car car;
  car.world.run(60);
  const auto camera = manifest::EcuSerial::parse(kCameraSerial).value();
  car.link.down = {kCameraSerial};
  const auto id = order_maps(car.world);
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 3600));
  REQUIRE(car.world.run(300));
  CHECK(car.world.server.silent() == manifest::SilentEcus{{camera, "unavailable"}});
  CHECK(car.world.server.reported(id)->state == manifest::OrderState::kDownloaded);
  const auto heard = car.world.server.reports_of(kCameraSerial).size();
  car.link.down.clear();
  REQUIRE(car.world.run(2 * 900));
  CHECK(car.world.server.silent().empty());
  CHECK(car.world.server.reports_of(kCameraSerial).size() > heard);
  CHECK(car.world.server.conflicts + car.world.server.refused == 0);
}

TEST_CASE("Another ECU in the place of one that was paired is given nothing") {
  Car car;
  const EcuBox other(car.world.clock, car.world.server,
                     {kCameraSerial, "camera-3", secondary::Verification::kFull}, car.old_software);
  EcuBox stranger(other, car.world.clock);
  car.link.boxes[kCameraSerial] = &stranger;
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  CHECK_FALSE(lock_and_run(car, id, State::kActive, 3600));
  CHECK(car.world.order(id)->error->code() == ErrorCode::kWrongEcu);
  CHECK(car.kept() == "old");
  CHECK(car.world.agent->record().ecus.at(manifest::EcuSerial::parse(kCameraSerial).value()).error);
}
