// What the agent makes of a world that goes wrong around it: disks, cars, servers, and hands that
// carry a state directory about.
#include <catch2/catch.hpp>

#include "agent/outbox.h"
#include "agent/provision.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using manifest::OrderState;

namespace {

void download(World& world, const manifest::OrderId& id) {
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.run(5);
}

bool logged(const World& world, const std::string& command) {
  const auto& log = world.vehicle.log;
  return std::any_of(log.begin(), log.end(),
                     [&](const std::string& line) { return line.starts_with(command); });
}

// Something that no write and no removal gets past.
void obstruct(World& world, const std::string& path) {
  REQUIRE(world.disk.make_dirs(path + "/in-the-way"));
}

}  // namespace

// ---- the car ------------------------------------------------------------------------------------

TEST_CASE("nothing else begins while what has started waits for the car (P4.1)") {
  World world;
  const auto maps = order_maps(world);
  const auto function = order_function(world);
  download(world, maps);
  download(world, function);
  world.vehicle.refuses_commands = true;
  world.exit_and_lock();
  world.run(120);
  CHECK(world.state(maps) == State::kConfirming);
  CHECK(world.state(function) == State::kWaiting);
  world.vehicle.refuses_commands = false;
  world.run(120);
  CHECK(world.state(maps) == State::kActive);
  CHECK(world.state(function) == State::kActive);
}

TEST_CASE("the switch waits while somebody drives, and is made at the next lock (P4.1, P4.4)") {
  World world;
  const auto id = order_software(world);
  download(world, id);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActivating, 60));
  world.agent.reset();  // the power fails, and comes back with a driver
  world.disk.restart(MemoryDisk::Survives::kOnlySynced, 1);
  world.vehicle.power_cut();
  world.vehicle.drive();
  world.start();
  world.run(1800);
  CHECK(world.state(id) == State::kActivating);
  CHECK(!logged(world, "boot"));
  CHECK(world.order(id)->waiting_for ==
        std::vector<std::string>{"gear", "parking-brake", "power", "driver", "doors-locked"});
  CHECK(world.vehicle.shows("Please select P."));
  world.vehicle.stand_open();
  world.run(60);
  CHECK(!logged(world, "boot"));  // once it had to wait, everything counts again
  world.vehicle.park_locked();
  world.run(60);
  CHECK(world.state(id) == State::kActive);
  CHECK(world.kept_software() == "new");
}

TEST_CASE("what is old by the time its turn comes is not installed (P5.1)") {
  World world;
  const auto newer = order_software(world);
  download(world, newer);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(newer, State::kActivating, 60));
  world.agent.reset();
  world.disk.restart(MemoryDisk::Survives::kOnlySynced, 1);
  world.vehicle.power_cut();
  world.vehicle.drive();
  world.start();
  // Between the two a thief of the Director's keys offers what is newer than the one that still
  // runs.
  world.server.publish({.name = "software/hu-4/1.5.0.img",
                        .bytes = Bytes(world.new_software.rbegin(), world.new_software.rend()),
                        .base = world.old_software,
                        .release_counter = 1});
  world.server.cancel(newer);
  const auto older = world.server.order({"software/hu-4/1.5.0.img"});
  world.run(1800);
  REQUIRE(world.state(newer) == State::kActivating);
  REQUIRE(world.order(older));
  world.vehicle.stand_open();
  world.run(60);
  world.vehicle.park_locked();
  world.run(3600);
  REQUIRE(world.kept_software() == "new");
  world.exit_and_lock();
  world.run(3600);
  CHECK(world.kept_software() == "new");
  CHECK(world.state(older) == State::kRefused);
  CHECK(world.order(older)->error->code() == ErrorCode::kImageRollback);
  CHECK(world.agent->record().attack.starts_with("image-rollback: "));
}

TEST_CASE("a car is not given what is older than what it left the factory with (P5.1)") {
  World world(3);
  order_software(world);  // 2
  world.run(600);
  CHECK(world.agent->record().orders.empty());
  CHECK(world.agent->record().attack.starts_with("image-rollback: "));
}

TEST_CASE("a door that is opened stops nothing that has started (P4.4)") {
  World world;
  const auto id = order_software(world);
  download(world, id);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kInstalling, 60));
  world.vehicle.signals[std::string(vss::kDoorPrefix) + "Row2.DriverSide.IsOpen"] = "true";
  world.run(60);
  CHECK(world.state(id) == State::kActive);
}

TEST_CASE("a state directory that is carried into another car goes on with nothing (P1.3)") {
  World world;
  const auto id = order_function(world);
  download(world, id);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kInstalling, 60));
  world.vehicle.signals[std::string(vss::kVin)] = "WVWZZZ1JZXW000025";
  world.start();
  world.run(600);
  CHECK(world.vehicle.functions.empty());
  CHECK(!logged(world, "activate"));
  world.vehicle.signals[std::string(vss::kVin)] = kVin;
  world.run(60);
  CHECK(world.state(id) == State::kActive);
}

TEST_CASE("a car that sends nonsense for names does not stop the agent") {
  World world;
  const auto id = order_function(world);
  download(world, id);
  const std::string door = std::string(vss::kDoorPrefix) + "Row3\xff\x01.Tail";
  world.exit_and_lock();
  world.vehicle.signals[door + ".IsOpen"] = "false";
  world.vehicle.signals[door + ".IsLocked"] = "true";
  world.run(60);
  CHECK(world.state(id) == State::kActive);
  const auto conditions = world.server.reported(id)->conditions;
  CHECK(conditions.contains(std::string(vss::kDoorPrefix) + "Row3??.Tail.IsOpen"));
}

// ---- the disk -----------------------------------------------------------------------------------

TEST_CASE("maps that cannot be switched back stay there until they can (P4.5, P4.7)") {
  World world;
  const auto id = order_maps(world);
  download(world, id);
  world.vehicle.fail_reload = 1;
  world.vehicle.at_command = [&](const std::string& command) {
    if (command.starts_with("reload") && world.vehicle.fail_reload > 0)
      obstruct(world, "/car/maps/current.new");
  };
  world.exit_and_lock();
  world.run(1200);
  CHECK(world.state(id) == State::kRollingBack);
  CHECK(world.live_maps() == "new");  // no mixture, nothing missing
  world.start();
  CHECK(world.live_maps() == "new");
  REQUIRE(world.disk.remove_tree("/car/maps/current.new"));
  world.run(60);
  CHECK(world.live_maps() == "old");
  CHECK(world.state(id) == State::kDownloaded);
  world.exit_and_lock();
  world.run(60);
  CHECK(world.live_maps() == "new");
  CHECK(world.state(id) == State::kActive);
}

TEST_CASE("a package that changed on the disk is not switched on again") {
  World world;
  world.server.licence_until = kStart + 10 * kDaySeconds;
  const auto id = order_function(world);
  download(world, id);
  world.exit_and_lock();
  world.run(60);
  REQUIRE(world.state(id) == State::kActive);
  const std::string package = world.vehicle.functions.at("adaptive-cruise");
  world.server.cancel(id);
  world.run_days(11);
  REQUIRE(world.vehicle.functions.empty());
  world.vehicle.log.clear();
  REQUIRE(replace_file(world.disk, package, noise(40'000, 99)));
  const auto renewal = world.server.order_licence(
      "adaptive-cruise", manifest::LicenceState::kActive, kStart + 40 * kDaySeconds);
  world.vehicle.drive();
  world.run(60);
  world.exit_and_lock();
  world.run(600);
  CHECK(!logged(world, "activate"));
  REQUIRE(world.order(renewal)->error.has_value());
  CHECK(world.order(renewal)->error->code() == ErrorCode::kWrongImage);
}

TEST_CASE("the journal never speaks of files that are gone (P4.7)") {
  for (std::uint64_t cut = 1; cut < 90; cut += 2) {
    World world;
    const auto id = order_function(world);
    download(world, id);
    world.server.cancel(id);
    world.vehicle.drive();  // a look for news
    world.disk.cut_power_at(world.disk.operations() + cut);
    try {
      world.vehicle.stand_open();
      world.run(60);
      world.vehicle.drive();
      world.run(60);
    } catch (const PowerCut&) {
    }
    world.agent.reset();
    world.disk.restart(MemoryDisk::Survives::kEverything, 1);
    const Record record = Journal::read(world.disk, kState).value();
    INFO("cut " << cut);
    for (const OrderRecord& order : record.orders)
      CHECK(world.disk.status(Layout(kState).staging(order, 0, record)).has_value());
  }
}

TEST_CASE("metadata that could not be kept is fetched again, after a restart too") {
  for (const bool restarts : {false, true}) {
    World world;
    world.run(60);
    const std::string timestamp = "/car/trust/director/timestamp.json.new";
    obstruct(world, timestamp);
    const auto id = order_maps(world);
    world.run(4 * 3600);
    CHECK(world.agent->record().poll_error.has_value());
    REQUIRE(world.disk.remove_tree(timestamp));
    if (restarts) world.start();
    CHECK(world.run_until_state(id, State::kDownloaded, 4 * 3600));
    world.start();
    world.run(4 * 3600);
    CHECK(!world.agent->record().poll_error.has_value());
  }
}

TEST_CASE(
    "one of two stolen keys taken away, a power cut anywhere: the car recovers (P4.7, P5.1)") {
  using Survives = MemoryDisk::Survives;
  const auto taken_away = GENERATE(manifest::Role::kTimestamp, manifest::Role::kSnapshot);
  World before;
  before.server.run_up = 1u << 31;
  before.server.sign_director();
  before.run(60);
  REQUIRE(!before.agent->record().poll_error.has_value());
  before.agent.reset();
  before.server.run_up = 0;
  before.server.rotate_director_keys({taken_away});
  const auto id = order_maps(before);
  for (const auto survives : {Survives::kEverything, Survives::kOnlySynced, Survives::kPerhaps}) {
    bool was_cut = true;
    for (std::uint64_t step = 1; was_cut; ++step) {
      World world(before);
      world.disk.cut_power_at(world.disk.operations() + step);
      try {
        world.start();
        was_cut = !world.run(3600, [&] { return world.order(id) != nullptr; });
      } catch (const PowerCut&) {
      }
      world.agent.reset();
      world.disk.restart(survives, static_cast<std::uint32_t>(step));
      world.start();
      INFO("operation " << step);
      REQUIRE(world.run(4 * 3600, [&] { return world.order(id) != nullptr; }));
    }
  }
}

TEST_CASE("another car's metadata is not kept, also when what is believed was read again (P5.1)") {
  enum class Before { kLook, kRestart, kLostWrite };
  const Before before = GENERATE(Before::kLook, Before::kRestart, Before::kLostWrite);
  World world;
  world.run(60);
  const std::string path = "/car/trust/director/timestamp.json";
  const Bytes own = read_file(world.disk, path, kMiB).value();
  if (before == Before::kRestart) world.start();
  if (before == Before::kLostWrite) {
    // What was accepted and could not be kept: the next look begins with what is on the disk.
    obstruct(world, path + ".new");
    order_maps(world);
    const auto has_failed = [&] { return world.agent->record().poll_error.has_value(); };
    REQUIRE(world.run(4 * 3600, has_failed));
    REQUIRE(world.disk.remove_tree(path + ".new"));
  }
  world.server.director_vin = "WVWZZZ1JZXW000025";
  world.server.sign_director();
  const auto is_refused = [&] {
    const auto& error = world.agent->record().poll_error;
    return error && error->code() == ErrorCode::kWrongVehicle;
  };
  REQUIRE(world.run(4 * 3600, is_refused));
  CHECK(world.agent->record().poll_error->message().find("timestamp: for WVWZZZ1JZXW000025") !=
        std::string::npos);
  CHECK(read_file(world.disk, path, kMiB).value() == own);
}

TEST_CASE("a server that cannot be one is found out in the factory") {
  World world;  // its files serve as a factory's
  for (const std::string url : {"http://server.test", "server.test", "https://", ""}) {
    const FactoryState factory{
        .identity = {.vin = manifest::Vin::parse(kVin).value(),
                     .ecu = manifest::EcuSerial::parse(kEcu).value(),
                     .hardware = manifest::HardwareId::parse(kHardware).value(),
                     .server_url = url},
        .director_root_path = "/factory/director-root.json",
        .image_root_path = "/factory/image-root.json",
        .ca_path = "/factory/ca.pem",
        .map_directories = {},
        .software_path = {}};
    const auto done = provision(world.disk, Layout("/other"), factory);
    REQUIRE(!done.has_value());
    CHECK(done.error().code() == ErrorCode::kInvalidArgument);
    CHECK(!world.disk.status("/other").has_value());
  }
}

// ---- the server ---------------------------------------------------------------------------------

TEST_CASE("a pending report that is lost or damaged is made anew") {
  for (const bool is_lost : {true, false}) {
    World world;
    world.run(60);
    const auto id = order_function(world);
    world.server.offline = true;
    world.vehicle.stand_open();
    world.run(5);
    world.vehicle.drive();
    world.run(5);
    const std::string pending = Layout(kState).pending_manifest();
    REQUIRE(world.agent->record().report_counter > world.agent->record().report_acknowledged);
    if (is_lost) {
      REQUIRE(world.disk.remove(pending));
    } else {
      Bytes bytes = read_file(world.disk, pending, 1 << 20).value();
      bytes[bytes.size() / 2] ^= 4;
      REQUIRE(replace_file(world.disk, pending, bytes));
    }
    world.server.offline = false;
    world.start();
    download(world, id);
    CHECK(world.server.count_reported(id, OrderState::kDownloaded) == 1);
  }
}

TEST_CASE("a car whose counter fell behind catches up, and no report is taken for told") {
  World world;
  world.run(60);
  world.server.skip_reports(700);
  const auto id = order_function(world);
  download(world, id);
  world.run(3600);
  CHECK(world.server.count_reported(id, OrderState::kDownloaded) == 1);
  world.exit_and_lock();
  world.run(600);
  CHECK(world.server.count_reported(id, OrderState::kActive) == 1);
}

TEST_CASE("a report that would be too long leaves out what matters least") {
  World world;
  const Layout layout(kState);
  const CarIdentity identity = read_identity(world.disk, layout).value();
  const CarKeys keys = read_keys(world.disk, layout).value();
  const Licences licences(world.disk, layout, identity, keys.seal.secret_key);
  agent::Secondaries nobody({.addresses = {}}, nullptr, world.clock);
  Outbox outbox(world.disk, world.server, layout, identity, keys, licences, nobody);
  Journal journal = Journal::open(world.disk, kState).value();
  for (int i = 0; i < 64; ++i) {
    OrderRecord order{.id = manifest::OrderId::generate(kStart)};
    order.state = State::kActive;
    for (int k = 0; k < 30; ++k)
      order.conditions[std::string(vss::kDoorPrefix) + std::to_string(k)] = std::string(60, 'x');
    journal.record().orders.push_back(order);
  }
  const auto made = outbox.make(journal, kStart);
  INFO((made ? "" : made.error().message()));
  REQUIRE(made);
  std::optional<std::int64_t> wish;
  REQUIRE(outbox.send(journal, wish));
  CHECK(world.server.reports().back().orders.size() == 64);
  CHECK(outbox.changed(journal.record(), kStart).value() == Outbox::Changed::kNo);
}

TEST_CASE("an entity tag that no server may send does not get into the journal") {
  for (const std::string prefix : {"\"\xff\xfe", "\"\x01", "\" "}) {
    World world;
    world.server.etag_prefix = prefix;
    const auto id = order_maps(world);
    CHECK(world.run_until_state(id, State::kDownloaded, 3600));
    CHECK(world.agent->record().director_etag.empty());
  }
  World world;
  world.server.etag_prefix = std::string(5000, 'x');
  world.run(60);
  CHECK(world.agent->record().director_etag.empty());
}

TEST_CASE("without a way to the server, or in private mode, the agent sleeps") {
  for (const auto& [signal, value] :
       {std::pair(vss::kPrivateMode, "true"), std::pair(vss::kBearer, "none")}) {
    World world;
    world.run(60);
    world.vehicle.park_locked();
    world.vehicle.signals[std::string(signal)] = value;
    world.run(7 * 3600);
    const auto next = world.agent->step();
    REQUIRE(next.has_value());
    CHECK(next->wait_ms >= 1000);
  }
}

TEST_CASE("a wall clock that was set back does not put a retry off for years") {
  World world;
  const auto id = order_maps(world);
  REQUIRE(world.run_until_state(id, State::kDownloading, 3600));
  world.agent.reset();
  {
    Journal journal = Journal::open(world.disk, kState).value();
    journal.record().order(id)->next_try = kStart + 10 * 365 * kDaySeconds;
    REQUIRE(journal.save());
  }
  world.vehicle.park_locked();  // nobody switches it on meanwhile
  CHECK(world.run_until_state(id, State::kDownloaded, 3600));
}

// ---- found by reading ---------------------------------------------------------------------------

TEST_CASE("nothing that a driver would notice is undone or loaded while the car is driven (P4.1)") {
  World world;
  const auto id = order_maps(world);
  download(world, id);
  SECTION("maps that wait to be loaded") {
    world.vehicle.refuses_commands = true;
    world.exit_and_lock();
    world.run(30);
    REQUIRE(world.state(id) == State::kConfirming);
    world.vehicle.drive();
    world.vehicle.refuses_commands = false;
    const auto commands = world.vehicle.log.size();
    world.run(3600);
    CHECK(world.vehicle.log.size() == commands);
    world.vehicle.park_locked();
    world.run(60);
    CHECK(world.state(id) == State::kActive);
  }
  SECTION("a power cut before the switch, and a car that is silent at first") {
    world.disk.observer = [&](const std::string& path) {
      if (path.find("maps/current") != std::string::npos) throw PowerCut{};
    };
    try {
      world.exit_and_lock();
      world.run(60);
    } catch (const PowerCut&) {
    }
    world.disk.observer = nullptr;
    world.agent.reset();
    world.disk.restart(MemoryDisk::Survives::kOnlySynced, 1);
    world.vehicle.drive();
    world.vehicle.unreachable = true;
    world.start();
    world.run(120);
    CHECK(world.live_maps() == "old");
    world.vehicle.unreachable = false;
    world.run(3600);
    CHECK(world.live_maps() == "old");
    world.vehicle.park_locked();
    world.run(60);
    CHECK(world.live_maps() == "new");
  }
}

TEST_CASE("a leftover that cannot be deleted keeps nothing from working") {
  World world;
  REQUIRE(world.disk.make_dirs("/car/maps/regions/stale-1"));
  world.disk.undeletable = "/car/maps/regions/stale-1";
  world.start();
  const auto id = order_maps(world);
  download(world, id);
  world.exit_and_lock();
  CHECK(world.run_until_state(id, State::kActive, 600));
  world.disk.undeletable.clear();
  world.start();
  CHECK(!world.disk.status("/car/maps/regions/stale-1").has_value());
}
