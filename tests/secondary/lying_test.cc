// What secondaries that lie, say too much, or say nothing at all can do to the primary, to its
// connection, and to each other: next to nothing.
#include <catch2/catch.hpp>

#include "agent/status.h"
#include "tests/secondary/car.h"
#include "tests/secondary/crowd.h"

using namespace layby;
using namespace layby::tests;
using agent::State;
using secondary::Message;
using secondary::MessageType;

namespace {

const auto kCamera = manifest::EcuSerial::parse(kCameraSerial).value();

Message done(Bytes body) {
  return {MessageType::kDone, std::move(body)};
}

// A word of the camera, under its own key.
Bytes camera_says(Car& car, const std::function<void(manifest::EcuReport&)>& change) {
  EcuBox& box = *car.ecus.at(kCameraSerial);
  const MemoryDisk::Quiet quiet(box.disk);
  const auto key = secondary::read_key(box.disk, secondary::EcuLayout(kEcuState)).value();
  manifest::EcuReport report{.ecu = kCamera,
                             .counter = 1'000'000,
                             .time = car.world.clock.now(),
                             .agent = {},
                             .installed = {},
                             .functions = {},
                             .attack = {},
                             .orders = {}};
  change(report);
  return manifest::make_ecu_report(report, *key).value();
}

struct Lie {
  const char* what;
  const char* reason;
  std::function<Bytes()> word;
};

std::vector<Lie> lies(Car& car) {
  const auto brake = car.ecus.at(kBrakeSerial)->ecu.get();
  const auto says = [&car](std::function<void(manifest::EcuReport&)> change) {
    return [&car, change] { return camera_says(car, change); };
  };
  const Bytes once = car.ecus.at(kCameraSerial)->ecu->answer({MessageType::kReport}).body;
  return {
      {"no report", "bad-json", [] { return to_bytes("x"); }},
      {"a document, and no report", "wrong-ecu",
       [&car] { return car.world.server.director_root(); }},
      {"as long as a message may be", "endless-data",
       [] { return Bytes(kVehicleManifestBytesMax, ' '); }},
      {"the brakes' report", "wrong-ecu",
       [brake] { return brake->answer({MessageType::kReport}).body; }},
      {"its word in another's name", "wrong-ecu", says([](manifest::EcuReport& report) {
         report.ecu = manifest::EcuSerial::parse(kBrakeSerial).value();
       })},
      {"the same word again", "replay", [once] { return once; }},
      {"from a time to come", "untrusted-time",
       says([](manifest::EcuReport& report) { report.time += 2 * kDaySeconds; })},
      {"of a function of the car", "wrong-ecu", says([](manifest::EcuReport& report) {
         report.functions.emplace(manifest::FunctionId::parse("f").value(),
                                  manifest::FunctionReport{});
       })},
  };
}

// The agent's steps, each of which waits no longer than this for ECUs.
void run_watched(World& world, std::int64_t seconds, std::int64_t step_ms_max) {
  if (!world.agent) world.start();
  const std::int64_t end_ms = world.clock.monotonic_ms() + seconds * 1000;
  while (world.clock.monotonic_ms() < end_ms) {
    const std::int64_t began_ms = world.clock.monotonic_ms();
    const auto next = world.agent->step();
    REQUIRE(next);
    REQUIRE(world.clock.monotonic_ms() - began_ms <= step_ms_max);
    if (next->wait_ms > 0) world.clock.advance_ms(next->wait_ms);
  }
}

}  // namespace

TEST_CASE("A report that a server would not take is not passed on, and the others are") {
  const std::size_t which = GENERATE(range<std::size_t>(0, 8));
  Car car;
  World& world = car.world;
  REQUIRE(world.run(60));
  const auto heard = world.server.reports_of(kCameraSerial).size();
  const auto brake = world.server.reports_of(kBrakeSerial).size();
  REQUIRE(heard > 0);
  const Lie lie = lies(car).at(which);
  INFO(lie.what);
  car.link.lie = [&](const auto& address, const Message& question, Message& answer) {
    if (address == kCameraSerial && question.type == MessageType::kReport)
      answer = done(lie.word());
  };
  const auto id = order_maps(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 3600));
  REQUIRE(world.run(60));
  CHECK(world.server.reported(id)->state == manifest::OrderState::kActive);
  CHECK(world.server.reports_of(kBrakeSerial).size() > brake);
  // The first of "the same word again" is a new one.
  CHECK(world.server.reports_of(kCameraSerial).size() <= heard + 1);
  CHECK(world.server.silent() == manifest::SilentEcus{{kCamera, lie.reason}});
  CHECK(world.server.refused + world.server.conflicts == 0);
  const agent::EcuSeen& seen = world.agent->record().ecus.at(kCamera);
  REQUIRE(seen.report_error);
  CHECK(to_string(seen.report_error->code()) == lie.reason);
  const auto status = agent::status(world.disk, world.clock, agent::Layout(kState),
                                    agent::Daemon::kRunning, agent::StatusForm::kJson);
  CHECK(status->find("\"reportError\":{\"code\":") != std::string::npos);
  // Once it tells the truth it is heard.
  car.link.lie = {};
  world.start();
  REQUIRE(world.run(60));
  CHECK(world.server.silent().empty());
  CHECK(world.server.refused + world.server.conflicts == 0);
}

TEST_CASE("P1.5: an ECU whose word only the server refuses does not keep the car's from it") {
  Car car;
  World& world = car.world;
  REQUIRE(world.run(60));
  // As after a pairing in which it has shown its key under a counter that it does not go on from.
  world.server.skip_ecu_reports(kCameraSerial, 1'000'000);
  const auto id = order_function(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 3600));
  REQUIRE(world.run(120));
  CHECK(world.server.conflicts > 0);
  CHECK(world.server.reported(id)->state == manifest::OrderState::kActive);
  CHECK(world.server.silent().contains(kCamera));
}

TEST_CASE("P1.5: while an ECU is silent, a function gets its licence and becomes active") {
  Car car;
  World& world = car.world;
  REQUIRE(world.run(60));
  car.link.down = {kCameraSerial};
  const auto id = order_function(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 3600));
  REQUIRE(world.run(300));
  CHECK(world.server.reported(id)->state == manifest::OrderState::kActive);
  CHECK(world.server.silent() == manifest::SilentEcus{{kCamera, "unavailable"}});
  CHECK(world.agent->record().ecus.at(kCamera).silent);
  car.link.down.clear();
  REQUIRE(world.run(3600));
  CHECK(world.server.silent().empty());
  CHECK(world.server.refused + world.server.conflicts == 0);
}

TEST_CASE("An ECU that starts anew while a report is made is asked once more before it counts") {
  Car car;
  car.world.run(60);
  car.link.down = {kCameraSerial};
  const auto reports = car.world.server.reports().size();
  car.world.start();  // a report is due
  car.world.run(0);
  CHECK(car.world.server.reports().size() == reports);
  car.link.down.clear();
  car.world.run(60);
  CHECK(car.world.server.reports().size() == reports + 1);
  CHECK(car.world.server.silent().empty());
}

TEST_CASE("What does not fit into a manifest together is left out, the longest first") {
  World world;
  Crowd crowd(world, 24);
  const std::set<std::string> brief = {"ECU-00", "ECU-07", "ECU-23"};
  crowd.lie = [&](const std::string& serial, const Message& question) -> std::optional<Message> {
    if (question.type != MessageType::kReport || brief.contains(serial)) return std::nullopt;
    return done(crowd.report(serial, std::string(3400, 'x')));
  };
  const auto id = order_maps(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  REQUIRE(world.run(60));
  CHECK(world.server.reported(id)->state == manifest::OrderState::kDownloaded);
  for (const std::string& serial : brief) CHECK_FALSE(world.server.reports_of(serial).empty());
  CHECK(world.server.silent().size() > 2);
  CHECK(world.server.silent().size() < 21);
  for (const auto& [serial, reason] : world.server.silent()) {
    CHECK_FALSE(brief.contains(serial.text()));
    CHECK(reason == "too-large");
  }
  CHECK(world.server.refused == 0);
}

TEST_CASE("An ECU that always says something new brings about a report a quarter of an hour") {
  World world;
  Crowd crowd(world, 3);
  int count = 0;
  crowd.lie = [&](const std::string& serial, const Message& question) -> std::optional<Message> {
    if (question.type != MessageType::kStatus || serial != "ECU-01") return std::nullopt;
    const secondary::EcuStatus status{
        .serial = manifest::EcuSerial::parse(serial).value(),
        .hardware = manifest::HardwareId::parse(kCrowdHardware).value(),
        .key = crowd.key(serial).public_key(),
        .attack = fmt::format("freeze: {}", ++count)};
    return done(secondary::encode(status).value());
  };
  REQUIRE(world.run(4 * 3600));
  CHECK(world.server.reports().size() >= 8);  // it is told,
  CHECK(world.server.reports().size() <= 18);
  CHECK(world.server.requests["/v1/vehicle"] < 300);  // and the looks are the usual ones
  // The car's own news go out at once.
  const auto id = order_maps(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  REQUIRE(world.run(5));
  CHECK(world.server.reported(id)->state == manifest::OrderState::kDownloaded);
}

TEST_CASE("What ECUs have the server asked for is asked for once in a look, and is bounded") {
  World world;
  Crowd crowd(world, 4);
  for (int i = 0; i < 24; ++i) world.server.rotate_director_key();
  REQUIRE(world.run(60));
  const auto roots = [](int version) {
    return Message{secondary::make_want(
        {secondary::RepositoryName::kDirector, 512 * 1024, fmt::format("{}.root.json", version)})};
  };
  std::map<std::string, int> given;  // files that came, or their absence, by ECU
  std::map<std::string, int> next;
  int last = 5;
  crowd.lie = [&](const std::string& serial, const Message& question) -> std::optional<Message> {
    if (question.type == MessageType::kLook) next[serial] = 0;
    if (question.type == MessageType::kFile) ++given[serial];
    if (question.type != MessageType::kLook && question.type != MessageType::kFile)
      return std::nullopt;
    if (++next[serial] > last) return std::nullopt;
    return roots(next[serial]);
  };
  const auto gets = [&] {
    int sum = 0;
    for (const auto& [path, count] : world.server.paths)
      if (path.find(".root.json") != std::string::npos) sum += count;
    return sum;
  };
  const auto one_look = [&] {
    world.run(10);
    given.clear();
    const int before = gets();
    world.agent->check_now();
    world.run(10);
    return gets() - before;
  };
  // Two are what the primary itself asks for: is there a newer one?
  CHECK(one_look() <= 5 + 2);
  for (const std::string& serial : crowd.serials) CHECK(given[serial] == 10);
  last = 24;
  CHECK(one_look() <= 16 + 2);
  // Whoever is turned away is not told that there is none.
  for (const std::string& serial : crowd.serials) CHECK(given[serial] == 16);
  SECTION("names that are none are not asked for") {
    crowd.lie = [&](const std::string&, const Message& question) -> std::optional<Message> {
      if (question.type != MessageType::kLook) return std::nullopt;
      return secondary::make_want({secondary::RepositoryName::kImage, 1000, "001.root.json"});
    };
    CHECK(one_look() <= 2);
  }
  SECTION("a server that does not answer is not asked again for them") {
    last = 24;
    crowd.lie = [&](const std::string&, const Message& question) -> std::optional<Message> {
      if (question.type != MessageType::kLook) return std::nullopt;
      world.server.fail_status = 503;
      world.server.fail_status_times = 1;
      return roots(3);
    };
    CHECK(one_look() <= 1 + 2);
  }
}

TEST_CASE("Sixty ECUs that hang hold up neither the agent nor the others") {
  World world;
  Crowd crowd(world, 62);
  crowd.hangs.insert(crowd.serials.begin(), crowd.serials.begin() + 60);
  run_watched(world, 3600, 31'000);
  // At the start two looks and a report; from then on those that hang come last.
  for (const std::string serial : {"ECU-60", "ECU-61"}) {
    CHECK(crowd.told[serial] >= 3);
    CHECK_FALSE(world.server.reports_of(serial).empty());
  }
  CHECK(world.server.silent().size() == 60);
  CHECK(world.server.refused == 0);
  // A function is switched on as ever.
  const auto id = order_function(world);
  world.agent->check_now();
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 600));
}

TEST_CASE("An ECU that drips holds nobody up") {
  World world;
  Crowd crowd(world, 5);
  crowd.lie = [&](const std::string& serial, const Message& question) -> std::optional<Message> {
    if (serial != "ECU-02") return std::nullopt;
    world.clock.advance_ms(9'000);
    if (question.type != MessageType::kLook && question.type != MessageType::kFile)
      return std::nullopt;
    return secondary::make_want({secondary::RepositoryName::kDirector, 1 << 20, "timestamp.json"});
  };
  run_watched(world, 3600, 40'000);
  for (const std::string serial : {"ECU-00", "ECU-01", "ECU-03", "ECU-04"}) {
    CHECK(crowd.told[serial] >= 3);
    CHECK(world.agent->record().ecus.at(manifest::EcuSerial::parse(serial).value()).error ==
          std::nullopt);
  }
  CHECK(crowd.asked["ECU-02"][MessageType::kFile] < 50);
}

TEST_CASE("An ECU's own troubles are not taken for the agent's") {
  const auto code = GENERATE(ErrorCode::kCorrupt, ErrorCode::kDiskFull, ErrorCode::kIo,
                             ErrorCode::kPrivateMode, ErrorCode::kForbidden, ErrorCode::kCancelled,
                             ErrorCode::kTimeout, ErrorCode::kNotFound);
  const auto question = GENERATE(MessageType::kBegin, MessageType::kActivate, MessageType::kCheck);
  Car car;
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  car.link.lie = [&](const auto& address, const Message& asked, Message& answer) {
    if (address == kCameraSerial && asked.type == question)
      answer = secondary::make_error(Error(code, "its own affair"));
  };
  for (int locks = 0; locks < 6 && car.world.state(id) != State::kFailed; ++locks) {
    car.world.exit_and_lock();
    REQUIRE(car.world.run(3600));
  }
  CHECK(car.world.state(id) == State::kFailed);
  const auto& error = car.world.order(id)->error;
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::kEcuRefused);
  CHECK(error->message().find("CAM-1") != std::string::npos);
  CHECK(error->message().find("its own affair") != std::string::npos);
  CHECK(car.kept() == "old");
}
