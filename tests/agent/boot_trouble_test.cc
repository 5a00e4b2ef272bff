// Boot control that fails, a head unit that does not do what it is asked for: nobody is blocked by
// it for ever, and the driver, the partner and the server learn why.
#include <catch2/catch.hpp>

#include "agent/journal.h"
#include "agent/status.h"
#include "tests/agent/boot_head_unit.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

struct CarUnit : HeadUnit {
  CarUnit() : HeadUnit(std::make_unique<FakeBootControl>()) {}
  FakeBootControl& loader() { return static_cast<FakeBootControl&>(*control); }

  // Until the trial of the downloaded software has begun.
  void begin_trial(const manifest::OrderId& id) {
    world.exit_and_lock();
    REQUIRE(runs_until_restart());
    REQUIRE(world.state(id) == State::kActivating);
  }
};

std::string shown_status(World& world) {
  return status(world.disk, world.clock, Layout(kState), Daemon::kRunning, StatusForm::kJson)
      .value();
}

std::vector<std::string> waits(const World& world, const manifest::OrderId& id) {
  return world.order(id)->waiting_for;
}

void change_journal(World& world, const std::function<void(Record&)>& change) {
  world.agent.reset();
  auto journal = Journal::open(world.disk, kState).value();
  change(journal.record());
  REQUIRE(journal.save());
}

const BootRecord kKeepsB{.kept = BootSlot::kB};

}  // namespace

// ---- what cannot be taken back ------------------------------------------------------------------

TEST_CASE("software that cannot be taken back says why, and all else goes on (P4.5)") {
  World world;
  const auto software = order_software(world);
  REQUIRE(world.run_until_state(software, State::kDownloaded, 3600));
  world.vehicle.fail_health = 1;
  world.vehicle.refuses_revert = true;
  world.exit_and_lock();
  REQUIRE(world.run_until_state(software, State::kRollingBack, 600));
  const auto maps = order_maps(world);
  const auto function = order_function(world);
  world.vehicle.drive();
  REQUIRE(world.run_until_state(maps, State::kDownloaded, 3600));
  REQUIRE(world.run_until_state(function, State::kDownloaded, 3600));
  world.exit_and_lock();
  CHECK(world.run_until_state(maps, State::kActive, 3600));
  CHECK(world.run_until_state(function, State::kActive, 3600));
  world.run(60);
  REQUIRE(world.state(software) == State::kRollingBack);
  // The same code at the head unit, in `status` and at the server.
  CHECK(world.vehicle.shows("(code 403)"));
  CHECK(shown_status(world).find("\"undoError\":{\"code\":403,") != std::string::npos);
  const auto told = world.server.reported(software);
  REQUIRE((told && told->error));
  CHECK(told->error->code == 403);
  CHECK(told->error->text.find("the car answered 3") != std::string::npos);
  SECTION("another order for software waits") {
    world.server.publish({.name = "software/hu-4/3.0.0.img",
                          .bytes = changed(world.new_software, 9),
                          .base = {},
                          .release_counter = 3});
    world.server.cancel(software);
    const auto other = world.server.order({"software/hu-4/3.0.0.img"});
    world.run(3600);
    REQUIRE(world.state(other) == State::kOffered);
    CHECK(waits(world, other) == std::vector<std::string>{"earlier-order"});
  }
  SECTION("it is not asked for every two seconds") {
    world.run(3600);
    world.vehicle.log.clear();
    world.run(3600);
    CHECK(world.vehicle.log.size() >= 3);
    CHECK(world.vehicle.log.size() <= 12);
  }
  SECTION("also after a start") {
    world.start();
    world.run(60);
    CHECK(world.vehicle.shows("(code 403)"));
  }
  world.vehicle.refuses_revert = false;
  REQUIRE(world.run(3600, [&] { return world.state(software) != State::kRollingBack; }));
  if (!world.state(software)) return;  // it was cancelled meanwhile
  CHECK(world.state(software) == State::kDownloaded);
  CHECK(world.order(software)->error->code() == ErrorCode::kHealthCheckFailed);
  CHECK(!world.vehicle.shows("(code 403)"));
}

TEST_CASE("what never was on trial need not be taken back (P4.5)") {
  World world;
  const auto id = order_software(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.vehicle.refuses_revert = true;
  REQUIRE(replace_file(world.disk, std::string(kState) + "/software/b.img", as_bytes("rubbish")));
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kInstalling, 60));
  REQUIRE(world.run(60, [&] { return world.state(id) == State::kDownloading; }));
  CHECK(world.order(id)->attempts == 1);
  // It comes again, and succeeds.
  world.vehicle.drive();
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.exit_and_lock();
  CHECK(world.run_until_state(id, State::kActive, 600));
}

TEST_CASE("a trial whose boots have run out is over, whether it can be erased or not (P4.5)") {
  CarUnit unit;
  unit.boot();
  const auto id = unit.download();
  unit.begin_trial(id);
  unit.loader().record.trial_left = 0;
  unit.loader().write_error = ErrorCode::kIo;
  unit.boot();
  REQUIRE(unit.world.vehicle.booted == CarUnit::path(BootSlot::kA));
  REQUIRE(unit.world.run_until_state(id, State::kFailed, 120));
  CHECK(unit.world.order(id)->error->code() == ErrorCode::kActivationFailed);
  CHECK(unit.content(BootSlot::kA) == "old");
}

TEST_CASE("a head unit that always comes up in the wrong slot does not restart for ever (P4.5)") {
  CarUnit unit;
  unit.boot();
  const auto id = unit.download();
  unit.begin_trial(id);
  unit.always_boots = BootSlot::kB;
  unit.world.vehicle.fail_health = 1;
  const int before = unit.world.vehicle.restarts;
  const std::int64_t end = unit.world.clock.now() + 2 * 3600;
  while (unit.world.clock.now() < end) {
    unit.boot();
    const int restarts = unit.world.vehicle.restarts;
    unit.world.run(3600, [&] {
      return unit.world.vehicle.restarts > restarts || unit.world.clock.now() >= end;
    });
  }
  CHECK(unit.world.state(id) == State::kRollingBack);
  CHECK(unit.world.vehicle.restarts - before <= 30);
  REQUIRE(unit.world.order(id)->undo.error);
  // Everything else works in it.
  const auto maps = order_maps(unit.world);
  CHECK(unit.world.run_until_state(maps, State::kDownloaded, 1800));
  unit.always_boots.reset();
  unit.boot();
  CHECK(unit.world.run_until_state(id, State::kDownloaded, 60));
  CHECK(unit.keeps(BootSlot::kA));
}

TEST_CASE("software whose command line does not name its slot is taken back (P4.5)") {
  CarUnit unit;
  unit.boot();
  const auto id = unit.download();
  unit.begin_trial(id);
  unit.does_not_name = BootSlot::kB;
  unit.boot();
  REQUIRE(unit.world.vehicle.booted == CarUnit::path(BootSlot::kB));
  const int before = unit.world.vehicle.restarts;
  REQUIRE(unit.world.run(1800, [&] { return unit.world.vehicle.restarts > before; }));
  CHECK(unit.loader().record == BootRecord{});
  unit.boot();
  CHECK(unit.world.run_until_state(id, State::kDownloaded, 60));
  CHECK(unit.keeps(BootSlot::kA));
}

// ---- reads that fail ----------------------------------------------------------------------------

TEST_CASE("one failed read of boot control refuses nothing (P4.5)") {
  CarUnit unit;
  unit.boot();
  World& world = unit.world;
  world.publish_software();
  const auto id = world.server.order({"software/hu-4/2.0.0.img"});
  SECTION("before the first byte") {
    unit.loader().fail_reads = 2;
    REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  }
  SECTION("in the download, for a while") {
    REQUIRE(world.run_until_state(id, State::kDownloading, 600));
    unit.loader().read_error = ErrorCode::kNotFound;
    world.run(600);
    CHECK(world.state(id) == State::kDownloading);
    CHECK(waits(world, id) == std::vector<std::string>{"boot-control"});
    CHECK(world.vehicle.shows("(code 2)"));
    unit.loader().read_error.reset();
    REQUIRE(world.run_until_state(id, State::kDownloaded, 1200));
  }
  SECTION("before the point of no return, for a while") {
    REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
    unit.loader().read_error = ErrorCode::kIo;
    world.exit_and_lock();
    world.run(600);
    CHECK(world.state(id) == State::kWaiting);
    CHECK(waits(world, id) == std::vector<std::string>{"boot-control"});
    CHECK(world.vehicle.shows("(code 4)"));
    unit.loader().read_error.reset();
    REQUIRE(unit.runs_until_restart());
    unit.boot();
    REQUIRE(world.run_until_state(id, State::kActive, 60));
  }
  SECTION("slots that disagree for a moment: somebody writes the environment") {
    unit.loader().record = kKeepsB;
    REQUIRE(world.run(60, [&] { return world.order(id) && world.order(id)->error; }));
    unit.loader().record = {};
    REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  }
  CHECK(!world.order(id)->error);
}

TEST_CASE("software that is well is kept, though boot control fails for a minute (P4.5)") {
  CarUnit unit;
  unit.boot();
  const auto id = unit.download();
  unit.begin_trial(id);
  SECTION("reads, once") {
    unit.boot();
    unit.loader().fail_reads = 1;
  }
  SECTION("reads, for a minute") {
    unit.boot();
    unit.loader().read_error = ErrorCode::kIo;
    unit.world.run(60);
    unit.loader().read_error.reset();
  }
  SECTION("writes, for a minute") {
    unit.boot();
    unit.loader().write_error = ErrorCode::kIo;
    unit.world.run(60);
    CHECK(unit.world.state(id) == State::kConfirming);
    unit.loader().write_error.reset();
  }
  REQUIRE(unit.world.run_until_state(id, State::kActive, 60));
  CHECK(unit.world.order(id)->attempts == 1);
  CHECK(unit.keeps(BootSlot::kB));
}

// ---- starts that are counted --------------------------------------------------------------------

TEST_CASE("starts without an armed trial do not count against the boot loader (P4.5)") {
  CarUnit unit;
  unit.boot();
  const auto id = unit.download();
  unit.world.exit_and_lock();
  REQUIRE(unit.world.run_until_state(id, State::kActivating, 60));
  unit.world.vehicle.drive();
  for (int i = 0; i < 12; ++i) {
    unit.boot();
    unit.world.run(60);
  }
  REQUIRE(unit.world.state(id) == State::kActivating);
  unit.world.vehicle.park_locked();
  REQUIRE(unit.runs_until_restart());
  unit.world.run(20);  // the head unit takes its time
  CHECK(unit.world.state(id) == State::kActivating);
  unit.boot();
  CHECK(unit.world.run_until_state(id, State::kActive, 60));
  CHECK(unit.world.order(id)->attempts == 1);
}

// ---- nobody has named the slot that runs --------------------------------------------------------

TEST_CASE("a car of which nobody has said what runs has no software written (P4.7)") {
  World world;
  change_journal(world, [](Record& record) {
    record.slots.erase(manifest::Slot::software());
    record.factory_slot.reset();
  });
  const std::string slots[] = {std::string(kState) + "/software/a.img",
                               std::string(kState) + "/software/b.img"};
  REQUIRE(replace_file(world.disk, slots[1], world.old_software));
  int touched = 0;
  world.disk.observer = [&](const std::string& path) {
    touched += path == slots[0] || path == slots[1];
  };
  const auto id = order_software(world);
  SECTION("a new order") {}
  SECTION("one that an older agent has begun") {
    change_journal(world, [](Record& record) { record.factory_slot = BootSlot::kB; });
    REQUIRE(world.run_until_state(id, State::kDownloading, 600));
    change_journal(world, [](Record& record) { record.factory_slot.reset(); });
    touched = 0;
  }
  REQUIRE(world.run_until_state(id, State::kRefused, 600));
  CHECK(world.order(id)->error->code() == ErrorCode::kSlotsDisagree);
  CHECK(touched == 0);
  const auto maps = order_maps(world);
  CHECK(world.run_until_state(maps, State::kDownloaded, 3600));
}

TEST_CASE("what an older agent has switched in a car without an image comes to its end (P4.7)") {
  // It wrote slot A of a car that runs slot B, and asked to boot it.
  World world;
  const auto id = order_software(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.run(20);
  const std::string folder = std::string(kState) + "/software/";
  for (const auto& [from, to] :
       {std::pair("b.img", "c.img"), {"a.img", "b.img"}, {"c.img", "a.img"}})
    REQUIRE(world.disk.rename(folder + from, folder + to));
  world.vehicle.booted = folder + "a.img";
  world.vehicle.confirmed = folder + "b.img";
  const bool fails = GENERATE(false, true);
  change_journal(world, [&](Record& record) {
    record.slots.erase(manifest::Slot::software());
    record.orders.front().state = State::kConfirming;
    record.orders.front().attempts = 1;
  });
  world.vehicle.fail_health = fails ? 1 : 0;
  world.vehicle.park_locked();
  REQUIRE(world.run(600, [&] { return !is_past_no_return(*world.state(id)); }));
  CHECK(world.state(id) == (fails ? State::kDownloaded : State::kActive));
  CHECK(world.vehicle.booted == folder + (fails ? "b.img" : "a.img"));
  CHECK(world.vehicle.confirmed == folder + (fails ? "b.img" : "a.img"));
  CHECK(world.kept_software() == (fails ? "old" : "new"));
  CHECK(Layout::spare_software_path(world.agent->record()) ==
        std::string("software/") + (fails ? "a.img" : "b.img"));
}
