// Orders over secondaries in trouble: ECUs that are taken out of the car, a car that is driven off,
// a journal that is lost, and somebody who is silent for ever.
#include <catch2/catch.hpp>

#include "agent/layout.h"
#include "agent/offline_install.h"
#include "tests/secondary/car.h"

using namespace layby;
using namespace layby::tests;
using agent::State;
using secondary::MessageType;

namespace {

// A set of two that lies in the car; the car stands open.
manifest::OrderId with_set(Car& car) {
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  REQUIRE(car.world.run(60));
  return id;
}

// The primary's power goes before the ECU gets this question; it is not started again.
void lock_and_cut_at(Car& car, const std::string& serial, MessageType type) {
  car.link.at_question = [&](const auto& address, const secondary::Message& question) {
    if (address == serial && question.type == type) throw PowerCut{};
  };
  car.world.exit_and_lock();
  CHECK_THROWS_AS(car.world.run(3600), PowerCut);
  car.link.at_question = {};
  car.world.agent.reset();
  car.world.disk.restart(MemoryDisk::Survives::kOnlySynced, 1);
}

// Paired anew without it; its order is cancelled, and has started.
void take_out(Car& car, const std::string& serial, const manifest::OrderId& id) {
  const agent::Layout layout(kState);
  auto list = agent::read_ecu_list(car.world.disk, layout).value();
  std::erase(list.addresses, serial);
  std::erase_if(list.paired, [&](const auto& ecu) { return ecu.serial.text() == serial; });
  REQUIRE(agent::write_ecu_list(car.world.disk, layout, list));
  car.world.server.cancel(id);
  car.world.server.remove_ecu(serial);
}

std::optional<ErrorCode> error_of(Car& car, const manifest::OrderId& id) {
  const auto* order = car.world.order(id);
  if (order == nullptr || !order->error) return std::nullopt;
  return order->error->code();
}

}  // namespace

TEST_CASE("An ECU that is taken out of the car before the word takes its set back as a whole") {
  Car car;
  const auto id = with_set(car);
  const auto type = GENERATE(MessageType::kBegin, MessageType::kActivate, MessageType::kCheck);
  lock_and_cut_at(car, kCameraSerial, type);
  take_out(car, kCameraSerial, id);
  car.world.start();
  REQUIRE(car.world.run(3600, [&] { return error_of(car, id) == ErrorCode::kWrongEcu; }));
  CHECK(car.world.order(id)->error->message().find(kCameraSerial) != std::string::npos);
  REQUIRE(car.world.run(3600));
  CHECK(car.kept_by(kBrakeSerial) == "old");
  const auto& brake = car.ecus.at(kBrakeSerial)->firmware;
  CHECK(brake.running == brake.kept);
}

TEST_CASE("An ECU that is taken out after the word is named, and the others keep what they have") {
  Car car;
  const auto id = with_set(car);
  const auto serial = GENERATE(as<std::string>(), kBrakeSerial, kCameraSerial);
  lock_and_cut_at(car, serial, MessageType::kKeep);
  take_out(car, kCameraSerial, id);
  car.world.start();
  REQUIRE(car.world.run(3600, [&] {
    const auto said = car.world.server.reported(id);
    return said && said->state == manifest::OrderState::kActive && said->error;
  }));
  const auto error = *car.world.server.reported(id)->error;
  CHECK(error.name == "wrong-ecu");
  CHECK(error.text.find(kCameraSerial) != std::string::npos);
  CHECK(error.text.find(kBrakeSerial) == std::string::npos);
  CHECK(car.kept_by(kBrakeSerial) == "new");
}

// ---- a car that is driven off ------------------------------------------------------------------

namespace {

// Somebody drives off when the ECU gets this question, its `nth` one, and before it is answered; a
// switch while the car is driven is counted.
struct Driver {
  Driver(Car& car_in, const std::string& serial_in, MessageType type_in)
      : car(car_in), serial(serial_in), type(type_in) {
    car.link.at_question = [this](const auto& address, const secondary::Message& question) {
      const bool is_switch =
          question.type == MessageType::kActivate || question.type == MessageType::kRevert;
      if (is_driving && is_switch) ++switches;
      if (has_driven || address != serial || question.type != type) return;
      is_driving = has_driven = true;
      car.world.vehicle.drive();
      if (at_start) at_start();
    };
  }
  ~Driver() { car.link.at_question = {}; }

  void park() {
    is_driving = false;
    car.world.vehicle.park_locked();
  }
  bool waits_for(const manifest::OrderId& id, const std::string& what) {
    const auto& waits = car.world.order(id)->waiting_for;
    return std::find(waits.begin(), waits.end(), what) != waits.end();
  }

  Car& car;
  const std::string serial;
  const MessageType type;
  std::function<void()> at_start;
  bool is_driving = false, has_driven = false;
  int switches = 0;
};

}  // namespace

TEST_CASE(
    "P4.1: no ECU of a set is switched once the car is driven off; it goes on when it stands") {
  Car car;
  const auto id = with_set(car);
  Driver driver(car, kBrakeSerial, MessageType::kActivate);
  car.world.exit_and_lock();
  car.world.run(3600);
  REQUIRE(driver.has_driven);
  CHECK(driver.switches == 0);
  CHECK(car.ecus.at(kCameraSerial)->ecu->state().phase == secondary::Phase::kStaged);
  CHECK(car.world.state(id) == State::kActivating);
  CHECK(driver.waits_for(id, "gear"));
  CHECK_FALSE(car.world.order(id)->error);
  driver.park();
  REQUIRE(car.world.run_until_state(id, State::kActive, 600));
  CHECK(car.world.order(id)->attempts == 1);
  CHECK(car.kept() == "new");
}

TEST_CASE("P4.1: an ECU that starts anew in its trial is switched again when the car stands") {
  Car car;
  const auto id = with_set(car);
  // Before the word, and after it.
  const auto type = GENERATE(MessageType::kCheck, MessageType::kKeep);
  Driver driver(car, kCameraSerial, type);
  driver.at_start = [&] { car.ecus.at(kCameraSerial)->start(); };
  car.world.exit_and_lock();
  car.world.run(3600);
  REQUIRE(driver.has_driven);
  CHECK(driver.switches == 0);
  CHECK(car.world.state(id) == State::kConfirming);
  CHECK(driver.waits_for(id, "gear"));
  CHECK_FALSE(car.world.order(id)->undo.error);
  CHECK(car.world.vehicle.shows("Please select P."));
  // After the word there is no way back, however long it takes.
  if (type == MessageType::kKeep) car.world.run_days(2);
  CHECK(car.world.state(id) == State::kConfirming);
  driver.park();
  REQUIRE(car.world.run_until_state(id, State::kActive, 600));
  CHECK(car.world.order(id)->attempts == 1);
  CHECK(car.kept() == "new");
}

TEST_CASE(
    "P4.1: a car that stands again when the second ECU is asked has put the set off, no more") {
  Car car;
  const auto id = with_set(car);
  std::vector<std::string> asked;
  car.link.at_question = [&](const std::string& address, const secondary::Message& question) {
    const bool is_next = asked.empty() || (asked.size() == 1 && asked.front() != address);
    if (question.type != MessageType::kCheck || !is_next) return;
    asked.push_back(address);
    if (asked.size() == 2) return car.world.vehicle.park_locked();
    for (const auto& [serial, box] : car.ecus) box->start();
    car.world.vehicle.drive();
  };
  car.world.exit_and_lock();
  REQUIRE(car.world.run_until_state(id, State::kActive, 3600));
  CHECK(asked.size() == 2);
  CHECK(car.world.order(id)->attempts == 1);
  CHECK(car.kept() == "new");
  car.link.at_question = {};
}

TEST_CASE("P4.1: a set that waits for the car for a day, and is not decided, goes back") {
  Car car;
  const auto id = with_set(car);
  Driver driver(car, kCameraSerial, MessageType::kCheck);
  driver.at_start = [&] { car.ecus.at(kCameraSerial)->start(); };
  car.world.exit_and_lock();
  car.world.run_days(2);
  CHECK(car.world.state(id) == State::kRollingBack);
  CHECK(car.world.order(id)->error->code() == ErrorCode::kConditionsNotMet);
  CHECK(driver.switches == 0);
  driver.park();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  CHECK(car.kept() == "old");
}

TEST_CASE("P4.1: no ECU of a set is taken back while somebody drives") {
  Car car;
  const auto id = with_set(car);
  car.ecus.at(kCameraSerial)->firmware.is_well = false;
  Driver driver(car, kBrakeSerial, MessageType::kRevert);
  car.world.exit_and_lock();
  car.world.run(3600);
  REQUIRE(driver.has_driven);
  CHECK(driver.switches == 0);
  CHECK(car.world.state(id) == State::kRollingBack);
  CHECK_FALSE(car.world.order(id)->undo.error);
  driver.park();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  for (const auto& [serial, box] : car.ecus) CHECK(box->firmware.running == box->firmware.kept);
}

TEST_CASE("P4.1: a trial that no order knows of is taken back once nobody drives") {
  Car car;
  with_set(car);
  secondary::Secondary& brake = *car.ecus.at(kBrakeSerial)->ecu;
  const auto sha256 = crypto::sha256(car.new_software);
  const auto command = [&](MessageType type) {
    REQUIRE(brake.answer(secondary::make_digest(type, sha256)).type == MessageType::kDone);
  };
  command(MessageType::kBegin);
  REQUIRE(brake.answer(secondary::make_piece({0, car.new_software})).type == MessageType::kDone);
  command(MessageType::kEnd);
  command(MessageType::kActivate);
  car.world.vehicle.drive();
  car.world.agent->check_now();
  car.world.run(60);
  CHECK(brake.state().phase == secondary::Phase::kTrial);
  car.world.vehicle.stand_open();
  car.world.agent->check_now();
  car.world.run(60);
  CHECK(brake.state().phase == secondary::Phase::kStaged);
}

// ---- a journal that is lost ---------------------------------------------------------------------

namespace {

void lose_both_records(Car& car) {
  for (const char* name : {"/car/journal.0", "/car/journal.1"})
    REQUIRE(replace_file(car.world.disk, name, as_bytes("rubbish")));
}

}  // namespace

TEST_CASE("P4.7: the word for a set outlives the loss of both records of the journal") {
  Car car;
  const auto id = with_set(car);
  const auto serial = GENERATE(as<std::string>(), kBrakeSerial, kCameraSerial);
  lock_and_cut_at(car, serial, MessageType::kKeep);
  lose_both_records(car);
  car.link.down = {kCameraSerial};
  car.world.start();
  car.world.run(3600);
  CHECK(car.world.state(id) == State::kConfirming);
  CHECK(car.world.order(id)->committed);
  CHECK(car.kept_by(kBrakeSerial) == "new");
  car.link.down.clear();
  REQUIRE(car.world.run_until_state(id, State::kActive, 3600));
  CHECK(car.kept() == "new");
}

TEST_CASE("None of a set is told to keep it before the word is in the journal's copy too") {
  Car car;
  const auto id = with_set(car);
  bool is_told = false;
  car.link.at_question = [&](const auto& address, const secondary::Message& question) {
    is_told = is_told || question.type == MessageType::kKeep;
    // From here on the copy can not be written.
    if (address == kCameraSerial && question.type == MessageType::kCheck)
      REQUIRE(car.world.disk.make_dirs("/car/journal.kept.new/in-the-way"));
  };
  car.world.exit_and_lock();
  car.world.run(3600);
  CHECK_FALSE(is_told);
  CHECK(car.world.order(id)->committed);
  REQUIRE(car.world.order(id)->undo.error);
  CHECK(car.world.order(id)->undo.error->code() == ErrorCode::kIo);
  REQUIRE(car.world.disk.remove_tree("/car/journal.kept.new"));
  REQUIRE(car.world.run_until_state(id, State::kActive, 3600));
  CHECK(car.kept() == "new");
}

// ---- somebody who is silent for ever ------------------------------------------------------------

namespace {

// For the camera alone; the camera falls silent once it is to keep it, or to go back.
manifest::OrderId with_stuck_camera(Car& car, MessageType type) {
  const auto id = car.order_camera();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  car.ecus.at(kCameraSerial)->firmware.is_well = type == MessageType::kKeep;
  car.link.at_question = [&car, type](const auto& address, const secondary::Message& question) {
    if (address == kCameraSerial && question.type == type) car.link.down = {kCameraSerial};
  };
  car.world.exit_and_lock();
  car.world.run(3600);
  REQUIRE(car.world.order(id)->undo.error);
  car.link.at_question = {};
  return id;
}

bool lock_and_run(Car& car, const manifest::OrderId& id, std::int64_t seconds = 3600) {
  car.world.exit_and_lock();
  return car.world.run_until_state(id, State::kActive, seconds);
}

}  // namespace

TEST_CASE("An order that a silent ECU holds up keeps no order for others: P4.2 for each of them") {
  Car car;
  const auto type = GENERATE(MessageType::kKeep, MessageType::kRevert);
  const auto stuck = with_stuck_camera(car, type);
  const State state = type == MessageType::kKeep ? State::kConfirming : State::kRollingBack;
  SECTION("the head unit's own software") {
    const auto id = order_software(car.world);
    car.world.agent->check_now();
    REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
    REQUIRE(lock_and_run(car, id));
    CHECK(car.world.kept_software() == "new");
  }
  SECTION("another ECU's") {
    const auto id = car.order_one();
    car.world.agent->check_now();
    REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
    REQUIRE(lock_and_run(car, id));
    CHECK(car.kept_by(kBrakeSerial) == "new");
  }
  SECTION("one that shares the ECU waits, and says for what") {
    // Withdrawn, but it has started.
    car.world.server.cancel(stuck);
    car.publish(3, changed(car.new_software, 53), car.new_software);
    const auto id = car.world.server.order({"software/brake-2/3.img", "software/camera-3/3.img"});
    car.world.agent->check_now();
    CHECK_FALSE(car.world.run_until_state(id, State::kDownloaded, 600));
    CHECK(car.world.order(id)->waiting_for == std::vector<std::string>{"earlier-order"});
    CHECK(car.world.state(stuck) == state);
    car.link.down.clear();
    CHECK(car.world.run_until_state(id, State::kDownloaded, 7200));
    return;
  }
  CHECK(car.world.state(stuck) == state);
  // It answers again: what waits goes on to its end.
  car.link.down.clear();
  car.ecus.at(kCameraSerial)->firmware.is_well = true;
  REQUIRE(car.world.run(7200, [&] { return car.world.state(stuck) != state; }));
  for (int locks = 0; locks < 3 && car.world.state(stuck) != State::kActive; ++locks)
    lock_and_run(car, stuck);
  CHECK(car.kept_by(kCameraSerial) == "new");
}

TEST_CASE("A set that is not silent any more switches nothing while another order is under way") {
  Car car;
  const auto stuck = with_stuck_camera(car, MessageType::kKeep);
  const auto id = car.order_one();
  car.world.agent->check_now();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  // The other one has to wait for the car in the middle; the camera comes back with its old image.
  Driver driver(car, kBrakeSerial, MessageType::kEnd);
  driver.at_start = [&] {
    car.ecus.at(kCameraSerial)->start();
    car.link.down.clear();
  };
  car.world.exit_and_lock();
  car.world.run(3600);
  CHECK(car.world.state(id) == State::kActivating);
  CHECK(driver.switches == 0);
  CHECK(driver.waits_for(stuck, "earlier-order"));
  driver.park();
  REQUIRE(car.world.run(600, [&] {
    return car.world.state(id) == State::kActive && car.world.state(stuck) == State::kActive;
  }));
  CHECK(car.kept() == "new");
}

// ---- no word of the Director -------------------------------------------------------------------

namespace {

bool waits_for_connection(Car& car, const manifest::OrderId& id) {
  const auto* order = car.world.order(id);
  return order->state == State::kWaiting && order->attempts == 0 && !order->error &&
         order->waiting_for == std::vector<std::string>{"connection"};
}

// Four exit-and-locks, each with an hour after it: more than there are attempts.
void check_waits_at_each_lock(Car& car, const manifest::OrderId& id) {
  for (int locks = 0; locks < 4; ++locks) {
    car.world.exit_and_lock();
    car.world.run(3600);
    REQUIRE(waits_for_connection(car, id));
  }
  CHECK(car.kept() == "old");
  const auto& lines = car.world.vehicle.lines;
  CHECK(std::ranges::count(lines, "Starts once the car has had a connection.") == 1);
}

// It goes on with the next look, at its first attempt, and nobody speaks of an attack.
void check_goes_on(Car& car, const manifest::OrderId& id) {
  car.world.server.offline = false;
  car.world.server.sign_images();  // what it signed before may have expired, too
  car.world.server.sign_director();
  car.world.agent->check_now();
  REQUIRE(car.world.run_until_state(id, State::kActive, 6 * 3600));
  CHECK(car.world.order(id)->attempts == 1);
  CHECK(car.kept() == "new");
  car.world.run(60);
  for (const std::string& serial : {kBrakeSerial, kCameraSerial})
    for (const auto& report : car.world.server.reports_of(serial)) CHECK(report.attack.empty());
}

}  // namespace

TEST_CASE("P2.2: ECUs that started anew without a connection take their set when there is one") {
  Car car;
  const auto id = with_set(car);
  car.world.server.offline = true;
  const bool one_only = GENERATE(true, false);
  for (const auto& [serial, box] : car.ecus)
    if (!one_only || serial == kCameraSerial) box->start();
  check_waits_at_each_lock(car, id);
  check_goes_on(car, id);
}

TEST_CASE("P2.1: a set whose word has run out waits for the next look, and is no attack") {
  Car car;
  const auto id = with_set(car);
  car.world.server.offline = true;
  car.world.run_days(40);
  check_waits_at_each_lock(car, id);
  check_goes_on(car, id);
}

TEST_CASE(
    "P5.3: a set that a partner's package brought waits for the Director's word to its ECUs") {
  Car car;
  car.publish(2, car.new_software, car.old_software);
  car.world.run(60);
  const auto id =
      car.world.server.order_offline({"software/brake-2/2.img", "software/camera-3/2.img"});
  REQUIRE(car.world.disk.make_dirs("/stick"));
  REQUIRE(replace_file(car.world.disk, "/stick/package.tar", car.world.server.offline_package()));
  car.world.server.offline = true;
  car.world.agent.reset();
  REQUIRE(agent::install_offline(car.world.disk, car.world.clock,
                                 {.state_directory = kState,
                                  .package_path = "/stick/package.tar",
                                  .interrupted = {},
                                  .progress = {}}));
  car.world.start();
  check_waits_at_each_lock(car, id);
  check_goes_on(car, id);
}

TEST_CASE("P4.5: an ECU that refuses the news is not waited for: its order says why it fails") {
  Car car;
  car.world.run(60);
  car.link.lie = [](const auto& address, const secondary::Message& question, auto& answer) {
    if (address == kCameraSerial && question.type == MessageType::kLook)
      answer = secondary::make_error(Error(ErrorCode::kBadSignature, "of nobody it knows"));
  };
  const auto id = with_set(car);
  for (int locks = 0; locks < 4; ++locks) {
    car.world.exit_and_lock();
    car.world.run(3600);
  }
  CHECK(car.world.state(id) == State::kFailed);
  CHECK(error_of(car, id) == ErrorCode::kWrongImage);
  CHECK(car.kept() == "old");
}

TEST_CASE("P4.7: an ECU whose image is damaged after the word is sent it once more, and keeps it") {
  Car car;
  const auto id = with_set(car);
  bool is_damaged = false;
  car.link.at_question = [&](const auto& address, const secondary::Message& question) {
    if (is_damaged || address != kCameraSerial || question.type != MessageType::kKeep) return;
    is_damaged = true;
    EcuBox& box = *car.ecus.at(kCameraSerial);
    const std::string slot = secondary::EcuLayout(kEcuState).slot(box.ecu->state().spare());
    REQUIRE(replace_file(box.disk, slot, as_bytes("the medium has lost it")));
    box.start();
  };
  car.world.exit_and_lock();
  REQUIRE(car.world.run_until_state(id, State::kActive, 3600));
  CHECK(is_damaged);
  CHECK(car.kept() == "new");
  car.world.run(60);
  CHECK(car.world.server.reports_of(kCameraSerial).back().attack.empty());
}
