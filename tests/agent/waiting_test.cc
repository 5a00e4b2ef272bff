// Waiting for the car: a switch that waits, a roll-back while somebody may be driving, signals that
// waver.
#include <catch2/catch.hpp>

#include "tests/agent/boot_head_unit.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

void set(World& world, std::string_view signal, const std::string& value) {
  world.vehicle.signals[std::string(signal)] = value;
}

std::unique_ptr<BootControl> boot_control() {
  return std::make_unique<FakeBootControl>();
}

bool waits_for(const World& world, const manifest::OrderId& id, const std::string& what) {
  const auto& waits = world.order(id)->waiting_for;
  return std::find(waits.begin(), waits.end(), what) != waits.end();
}

// Operations on the journal's files within an hour in which `each_step` changes the car.
int journal_writes_in_an_hour(World& world, const std::function<void(int)>& each_step) {
  int writes = 0, steps = 0;
  world.disk.observer = [&](const std::string& path) {
    writes += path.find("/journal.") != std::string::npos;
  };
  const std::int64_t end = world.clock.now() + 3600;
  while (world.clock.now() < end) {
    each_step(steps++);
    REQUIRE(world.agent->step());
    world.clock.advance_ms(1000);
  }
  world.disk.observer = {};
  return writes;
}

}  // namespace

// ---- the switch ---------------------------------------------------------------------------------

TEST_CASE("a trial that has to wait is disarmed until the car stands again (P4.1)") {
  HeadUnit unit(boot_control());
  World& world = unit.world;
  unit.boot();
  const auto id = unit.download();
  world.exit_and_lock();
  REQUIRE(unit.runs_until_restart());
  REQUIRE(unit.control->read().value().trial == BootSlot::kB);
  world.vehicle.drive();  // the head unit puts its restart off
  world.run(60);
  CHECK(world.state(id) == State::kActivating);
  CHECK(unit.control->read().value() == BootRecord{});
  unit.boot();  // a watchdog
  CHECK(world.vehicle.booted == HeadUnit::path(BootSlot::kA));
  world.run(60);
  world.vehicle.park_locked();
  REQUIRE(unit.runs_until_restart());
  CHECK(unit.control->read().value().trial == BootSlot::kB);
  SECTION("somebody drives in the trial: it stays what it is") {
    unit.boot();
    world.vehicle.drive();
    world.run(1800);
    CHECK(unit.control->read().value().trial == BootSlot::kB);
    world.vehicle.park_locked();
    CHECK(world.run_until_state(id, State::kActive, 60));
  }
  SECTION("it goes on") {
    unit.boot();
    CHECK(world.run_until_state(id, State::kActive, 60));
  }
  CHECK(unit.keeps(BootSlot::kB));
}

TEST_CASE("signals that cease once the restart was asked for leave the trial armed (P4.6)") {
  HeadUnit unit(boot_control());
  World& world = unit.world;
  unit.boot();
  const auto id = unit.download();
  world.exit_and_lock();
  REQUIRE(unit.runs_until_restart());
  const bool they_freeze = GENERATE(true, false);  // or there are none
  (they_freeze ? world.vehicle.frozen : world.vehicle.unreachable) = true;
  world.run(60);
  CHECK(unit.control->read().value().trial == BootSlot::kB);
  SECTION("the restart comes") {
    world.vehicle.frozen = world.vehicle.unreachable = false;
    unit.boot();
    CHECK(world.run_until_state(id, State::kActive, 60));
    CHECK(!world.order(id)->timing->had_to_wait);
    CHECK(unit.keeps(BootSlot::kB));
  }
  SECTION("it does not: the trial does not stay armed in a car that may be driven") {
    world.run(120);
    CHECK(unit.control->read().value() == BootRecord{});
  }
}

TEST_CASE("the day that a switch may wait begins with the wait (P4.4, P4.5)") {
  World world;
  const auto id = order_software(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.run(5);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActivating, 60));
  world.agent.reset();  // the power goes, over the weekend
  SECTION("the clock goes on") {
    world.clock.advance(3 * kDaySeconds);
    world.vehicle.drive();
  }
  SECTION("the clock stood still, and the first poll puts it right") {
    world.vehicle.drive();
    world.server.offline = true;
    world.run(600);
    world.server.offline = false;
    world.server.time_ahead = 3 * kDaySeconds;
  }
  world.run(4 * 3600);
  CHECK(world.state(id) == State::kActivating);
  world.vehicle.park_locked();
  REQUIRE(world.run_until_state(id, State::kActive, 3600));
  CHECK(world.order(id)->attempts == 1);
}

TEST_CASE("a switch that waits for ever is given up after a day (P4.4, P4.5)") {
  World world;
  const auto id = order_software(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.run(5);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActivating, 60));
  world.vehicle.drive();
  world.run(60);
  world.vehicle.park_locked();
  set(world, vss::kLowVoltageBattery, "11.8");  // an old battery, never more
  REQUIRE(world.run_until_state(id, State::kActivating, 60));
  world.run(20 * 3600);
  CHECK(world.state(id) == State::kActivating);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 8 * 3600));
  CHECK(world.order(id)->error->code() == ErrorCode::kConditionsNotMet);
  CHECK(world.order(id)->error->message().find("low-voltage-battery") != std::string::npos);
  CHECK(world.kept_software() == "old");
  // It keeps nothing else from beginning any more.
  const auto function = order_function(world);
  REQUIRE(world.run_until_state(function, State::kDownloaded, 3600 * 5));
  set(world, vss::kLowVoltageBattery, "12.6");
  world.exit_and_lock();
  CHECK(world.run_until_state(id, State::kActive, 3600));
  CHECK(world.run_until_state(function, State::kActive, 3600));
}

// ---- the roll-back ------------------------------------------------------------------------------

TEST_CASE("a roll-back restarts nothing as long as the car may be driven (P4.1)") {
  HeadUnit unit(boot_control());
  World& world = unit.world;
  unit.boot();
  const auto id = unit.download();
  world.exit_and_lock();
  REQUIRE(unit.runs_until_restart());
  unit.boot();
  world.vehicle.fail_health = 1;
  REQUIRE(world.run_until_state(id, State::kRollingBack, 60));
  world.vehicle.drive();
  const auto driving = world.vehicle.signals;
  const int before = world.vehicle.restarts;
  SECTION("facts that come five seconds after a start, and say ON") {
    world.vehicle.unreachable = true;
    unit.boot();
    world.run(5);
    world.vehicle.unreachable = false;
    world.run(2 * 3600);
    CHECK(world.vehicle.restarts == before);
  }
  SECTION("only the speed is known") {
    world.vehicle.signals = {{std::string(vss::kSpeed), "100"}};
    unit.boot();
    world.run(2 * 3600);
    CHECK(world.vehicle.restarts == before);
  }
  SECTION("signals that are old") {
    world.run(5);
    world.vehicle.frozen = true;
    world.run(60);
    CHECK(world.vehicle.restarts == before);
    world.vehicle.frozen = false;
    world.run(2 * 3600);
    CHECK(world.vehicle.restarts == before);
  }
  SECTION("P, OFF and a speed: one of them is wrong, and it has an end") {
    world.vehicle.park_locked();
    set(world, vss::kSpeed, "30");
    unit.boot();
    world.run(9 * 60);
    CHECK(world.vehicle.restarts == before);
  }
  SECTION("a gear that is none, and OFF: it stands") {
    world.vehicle.park_locked();
    set(world, vss::kGear, "255");
    unit.boot();
    world.run(10);
    CHECK(world.vehicle.restarts == before + 1);
  }
  SECTION("signals that never come again, or a gear that is none for ever: it has an end") {
    const auto [name, value] =
        GENERATE(std::pair(vss::kDriver, "true"), std::pair(vss::kGear, "255"));
    world.vehicle.signals = {{std::string(name), value}};
    unit.boot();
    world.run(9 * 60);
    CHECK(world.vehicle.restarts == before);
    world.run(100);
    CHECK(world.vehicle.restarts == before + 1);
  }
  world.vehicle.signals = driving;
  world.vehicle.park_locked();
  REQUIRE(world.run(600, [&] { return world.vehicle.restarts > before; }));
  unit.boot();
  REQUIRE(world.run_until_state(id, State::kDownloaded, 60));
  CHECK(unit.keeps(BootSlot::kA));
}

// ---- signals that waver -------------------------------------------------------------------------

TEST_CASE("what wavers while an order waits does not wear out the journal") {
  World world;
  const auto id = order_software(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.run(60);
  SECTION("downloaded") {}
  SECTION("armed, and a door that is opened and closed") {
    set(world, vss::kCable, "true");
    world.exit_and_lock();
    REQUIRE(world.run_until_state(id, State::kWaiting, 60));
  }
  SECTION("in the switch") {
    world.exit_and_lock();
    REQUIRE(world.run_until_state(id, State::kActivating, 60));
    world.vehicle.drive();
    world.run(10);
  }
  const State state = *world.state(id);
  const int writes = journal_writes_in_an_hour(world, [&](int step) {
    set(world, vss::kLowVoltageBattery, step % 2 == 0 ? "11.0" : "12.6");
    set(world, vss::kCable, step % 2 == 0 && state != State::kWaiting ? "false" : "true");
  });
  // A save is a write and a sync; ten at once, then one a minute, and what time notes for itself.
  CHECK(writes < 2 * (10 + 60 + 15));
  CHECK(writes > 0);
  CHECK(world.state(id) == state);
  // In the end it is written down what it waits for.
  set(world, vss::kLowVoltageBattery, "11.0");
  world.run(120);
  CHECK(waits_for(world, id, "low-voltage-battery"));
  const Record record = Journal::read(world.disk, kState).value();
  CHECK(record.orders.front().waiting_for == world.order(id)->waiting_for);
}

TEST_CASE("the band of a condition counts before the car is locked, too (P4.3)") {
  World world;
  const auto id = order_software(world);  // asks for 40 percent
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  for (const auto& [soc, is_missing] : {std::pair("39", true),
                                        {"40", false},
                                        {"39", false},
                                        {"38", false},
                                        {"37", true},
                                        {"39", true},
                                        {"40", false}}) {
    set(world, vss::kTractionBattery, soc);
    world.run(5);
    INFO(soc);
    CHECK(waits_for(world, id, "traction-battery") == is_missing);
  }
}

TEST_CASE("after a long step ten minutes of unknown motion are granted, too (P4.1)") {
  World world;
  const auto id = order_maps(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.run(20);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kInstalling, 60));
  // The one call in which the maps are unpacked takes a quarter of an hour, and the signals go.
  bool is_slow = true;
  world.disk.observer = [&](const std::string&) {
    if (std::exchange(is_slow, false)) world.clock.advance(15 * 60);
  };
  world.vehicle.signals.erase(std::string(vss::kGear));
  world.vehicle.signals.erase(std::string(vss::kPower));
  const std::string archive = std::string(kState) + "/inbox/" + id.text() + ".0.img";
  REQUIRE(world.disk.remove(archive));
  REQUIRE(world.run_until_state(id, State::kRollingBack, 60));
  REQUIRE(!is_slow);
  world.vehicle.log.clear();
  world.run(9 * 60);
  CHECK(world.state(id) == State::kRollingBack);
  CHECK(world.vehicle.log.empty());
  CHECK(world.run(120, [&] { return world.state(id) != State::kRollingBack; }));
}
