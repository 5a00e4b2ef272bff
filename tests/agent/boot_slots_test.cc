// Journal and boot loader: what is written, and what is taken back, when they do not say the same.
#include <catch2/catch.hpp>

#include "agent/journal.h"
#include "agent/offline_install.h"
#include "agent/provision.h"
#include "agent/status.h"
#include "base/limits.h"
#include "tests/agent/boot_head_unit.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

struct CarUnit : HeadUnit {
  explicit CarUnit(BootRecord record = {}) : HeadUnit(std::make_unique<FakeBootControl>()) {
    loader().record = record;
  }
  FakeBootControl& loader() { return static_cast<FakeBootControl&>(*control); }

  manifest::OrderId order() {
    world.publish_software();
    return world.server.order({"software/hu-4/2.0.0.img"});
  }
  std::optional<ErrorCode> error_of(const manifest::OrderId& id) const {
    const OrderRecord* found = world.order(id);
    if (found == nullptr || !found->error) return std::nullopt;
    return found->error->code();
  }
  // Until the trial of the downloaded software has begun.
  void begin_trial(const manifest::OrderId& id) {
    world.exit_and_lock();
    REQUIRE(runs_until_restart());
    REQUIRE(world.state(id) == State::kActivating);
  }
};

constexpr BootRecord kKeepsB{.kept = BootSlot::kB};
constexpr BootRecord kTrialOfB{.kept = BootSlot::kA, .trial = BootSlot::kB, .trial_left = 3};

}  // namespace

// ---- which slot is written ----------------------------------------------------------------------

TEST_CASE("a car provisioned without software never writes the slot that runs (P4.7)") {
  CarUnit unit;
  const BootSlot running = GENERATE(BootSlot::kA, BootSlot::kB);
  const BootSlot other = running == BootSlot::kA ? BootSlot::kB : BootSlot::kA;
  unit.set_live_software(running);
  unit.forget_software();
  unit.loader().record.kept = running;
  unit.boot();
  const auto id = unit.download();
  CHECK(unit.content(running) == "old");
  CHECK(unit.content(other) == "new");
  unit.begin_trial(id);
  unit.boot();
  CHECK(unit.world.run_until_state(id, State::kActive, 60));
  CHECK(unit.keeps(other));
  CHECK(unit.content(running) == "old");
}

TEST_CASE("a journal that names another slot than the boot loader writes neither (P4.7)") {
  // Recovered with `provision --software`, where slot B runs and is kept.
  CarUnit unit(kKeepsB);
  REQUIRE(replace_file(unit.world.disk, CarUnit::path(BootSlot::kB), unit.world.old_software));
  unit.boot();
  const auto software = unit.order();
  const auto maps = order_maps(unit.world);
  REQUIRE(unit.world.run_until_state(software, State::kRefused, 600));
  CHECK(unit.error_of(software) == ErrorCode::kSlotsDisagree);
  CHECK(unit.content(BootSlot::kB) == "old");
  CHECK(unit.content(BootSlot::kA) == "old");
  unit.world.run(60);
  const auto told = unit.world.server.reported(software);
  REQUIRE((told && told->error));
  CHECK(told->error->code == 407);
  // Everything else goes on.
  REQUIRE(unit.world.run_until_state(maps, State::kDownloaded, 600));
  unit.world.exit_and_lock();
  CHECK(unit.world.run_until_state(maps, State::kActive, 600));
  CHECK(unit.loader().writes == 0);
}

TEST_CASE("a boot environment that was lost refuses software until it is put right (P4.7)") {
  // The journal has B as live; U-Boot's default environment boots and keeps A.
  CarUnit unit;
  unit.set_live_software(BootSlot::kB);
  REQUIRE(replace_file(unit.world.disk, CarUnit::path(BootSlot::kA), unit.world.old_software));
  unit.boot();
  const auto id = unit.order();
  REQUIRE(unit.world.run_until_state(id, State::kRefused, 600));
  CHECK(unit.error_of(id) == ErrorCode::kSlotsDisagree);
  CHECK(unit.content(BootSlot::kA) == "old");
  CHECK(unit.content(BootSlot::kB) == "old");
  unit.world.server.cancel(id);
  unit.loader().record = kKeepsB;
  unit.boot();
  const auto again = unit.world.server.order({"software/hu-4/2.0.0.img"});
  REQUIRE(unit.world.run_until_state(again, State::kDownloaded, 600));
  CHECK(unit.content(BootSlot::kB) == "old");
  CHECK(unit.content(BootSlot::kA) == "new");
}

TEST_CASE("an environment that is lost in the middle stops the order where it is (P4.7)") {
  CarUnit unit;
  unit.set_live_software(BootSlot::kB);
  unit.loader().record = kKeepsB;
  unit.boot();
  SECTION("of the download") {
    const auto id = unit.order();
    REQUIRE(unit.world.run_until_state(id, State::kDownloading, 600));
    unit.loader().record = {};
    unit.boot();
    REQUIRE(unit.world.run_until_state(id, State::kRefused, 600));
    CHECK(unit.error_of(id) == ErrorCode::kSlotsDisagree);
  }
  SECTION("of the wait for exit-and-lock") {
    const auto id = unit.download();
    unit.loader().record = {};
    unit.boot();
    unit.world.exit_and_lock();
    REQUIRE(unit.world.run_until_state(id, State::kRefused, 600));
    CHECK(unit.error_of(id) == ErrorCode::kSlotsDisagree);
    CHECK(unit.world.vehicle.restarts == 0);
  }
  SECTION("of the installation: back to the slot that the journal has") {
    const auto id = unit.download();
    unit.world.exit_and_lock();
    REQUIRE(unit.world.run_until_state(id, State::kInstalling, 60));
    unit.loader().record = {};
    unit.boot();
    REQUIRE(unit.runs_until_restart());
    CHECK(unit.world.state(id) == State::kRollingBack);
    CHECK(unit.loader().record == kKeepsB);
    unit.boot();
    REQUIRE(unit.world.run_until_state(id, State::kDownloaded, 60));
    CHECK(unit.keeps(BootSlot::kB));
  }
  CHECK(unit.content(BootSlot::kB) == "old");
}

TEST_CASE("what runs when a car is provisioned is what it says (P4.7)") {
  World world;
  const Layout layout("/other");
  FactoryState factory{.identity = {.vin = manifest::Vin::parse(kVin).value(),
                                    .ecu = manifest::EcuSerial::parse(kEcu).value(),
                                    .hardware = manifest::HardwareId::parse(kHardware).value(),
                                    .server_url = "https://server.test"},
                       .director_root_path = "/factory/director-root.json",
                       .image_root_path = "/factory/image-root.json",
                       .ca_path = "/factory/ca.pem",
                       .map_directories = {},
                       .software_path = {},
                       .running_slot = BootSlot::kB};
  SECTION("with an image") {
    factory.software_path = "/factory/software.img";
    REQUIRE(provision(world.disk, layout, factory));
    CHECK(read_file(world.disk, "/other/software/b.img", kMiB).value() == world.old_software);
  }
  SECTION("with the image that lies in the slot: it is not written over itself") {
    const std::string slot = "/other/software/b.img";
    REQUIRE(world.disk.make_dirs("/other/software"));
    REQUIRE(replace_file(world.disk, slot, world.old_software));
    factory.software_path = slot;
    int touched = 0;
    world.disk.observer = [&](const std::string& path) { touched += path == slot; };
    REQUIRE(provision(world.disk, layout, factory));
    CHECK(touched == 0);
    CHECK(read_file(world.disk, slot, kMiB).value() == world.old_software);
  }
  SECTION("without one") {
    REQUIRE(provision(world.disk, layout, factory));
  }
  SECTION("as the image does that lies in a slot, where nobody says more") {
    REQUIRE(world.disk.make_dirs("/other/software"));
    REQUIRE(replace_file(world.disk, "/other/software/a.img", world.new_software));
    REQUIRE(replace_file(world.disk, "/other/software/b.img", world.old_software));
    factory.software_path = "/other/software/../software/b.img";
    factory.running_slot.reset();
    REQUIRE(provision(world.disk, layout, factory));
    CHECK(read_file(world.disk, "/other/software/a.img", kMiB).value() == world.new_software);
  }
  const Record record = Journal::read(world.disk, "/other").value();
  CHECK(Layout::live_software_path(record) == "software/b.img");
  CHECK(Layout::spare_software_path(record) == "software/a.img");
}

TEST_CASE("provisioning never empties the slot that its image lies in (P4.7)") {
  const World world;
  const std::string slot = "/other/software/b.img";
  int failed = 0;
  for (std::uint64_t at = 1; at <= 40; ++at) {
    World fork(world);
    REQUIRE(fork.disk.make_dirs("/other/software"));
    REQUIRE(replace_file(fork.disk, slot, fork.old_software));
    FactoryState factory{.identity = {.vin = manifest::Vin::parse(kVin).value(),
                                      .ecu = manifest::EcuSerial::parse(kEcu).value(),
                                      .hardware = manifest::HardwareId::parse(kHardware).value(),
                                      .server_url = "https://server.test"},
                         .director_root_path = "/factory/director-root.json",
                         .image_root_path = "/factory/image-root.json",
                         .ca_path = "/factory/ca.pem",
                         .map_directories = {},
                         .software_path = slot,
                         .running_slot = BootSlot::kB};
    const bool is_other = at == 40;
    if (is_other) factory.running_slot = BootSlot::kA;
    if (!is_other)
      fork.disk.inject({.kind = at % 2 == 0 ? Fault::Kind::kReadError : Fault::Kind::kBitFlip,
                        .lasts = Fault::Lasts::kOnce,
                        .at = (at + 1) / 2});
    const auto done = provision(fork.disk, Layout("/other"), factory);
    failed += !done;
    fork.disk.heal();
    const MemoryDisk::Quiet quiet(fork.disk);
    if (is_other) CHECK((!done && done.error().code() == ErrorCode::kInvalidArgument));
    CHECK(read_file(fork.disk, slot, kMiB).value() == fork.old_software);
  }
  CHECK(failed > 2);
}

TEST_CASE(
    "in a workshop the slots are asked for, too, or what the last start found counts (P3.1)") {
  CarUnit unit(kKeepsB);
  REQUIRE(replace_file(unit.world.disk, CarUnit::path(BootSlot::kB), unit.world.old_software));
  const bool has_run = GENERATE(true, false);
  if (has_run) unit.boot();
  unit.world.agent.reset();
  unit.world.publish_software();
  const auto id = unit.world.server.order_offline({"software/hu-4/2.0.0.img"});
  REQUIRE(replace_file(unit.world.disk, "/stick", unit.world.server.offline_package()));
  OfflineOptions options{.state_directory = kState, .package_path = "/stick"};
  if (!has_run) options.ask_slots = [&] { return boot_slots(unit.loader(), BootSlot::kB); };
  const auto taken = install_offline(unit.world.disk, unit.world.clock, options);
  REQUIRE(taken);
  REQUIRE(taken->size() == 1);
  CHECK(taken->front().id == id);
  CHECK(taken->front().state == State::kOffered);
  CHECK(!taken->front().is_taken());
  REQUIRE(taken->front().error);
  CHECK(taken->front().error->code() == ErrorCode::kSlotsDisagree);
  CHECK(unit.content(BootSlot::kB) == "old");
}

// ---- boot control that cannot be read -----------------------------------------------------------

TEST_CASE("boot control that cannot be read keeps software away, and nothing else (P4.5)") {
  CarUnit unit;
  unit.loader().read_error = ErrorCode::kCorrupt;
  unit.boot();
  const auto maps = order_maps(unit.world);
  const auto software = unit.order();
  unit.world.run(600);
  CHECK(unit.world.state(software) == State::kOffered);
  CHECK(unit.world.order(software)->waiting_for == std::vector<std::string>{"boot-control"});
  CHECK(unit.world.vehicle.shows("(code 7)"));
  CHECK(unit.error_of(software) == ErrorCode::kCorrupt);
  CHECK(unit.content(BootSlot::kB) == "missing");
  REQUIRE(unit.world.run_until_state(maps, State::kDownloaded, 600));
  unit.world.exit_and_lock();
  REQUIRE(unit.world.run_until_state(maps, State::kActive, 600));
  CHECK(unit.world.server.reported(software)->error->name == "corrupt");
  const auto shown = [&] {
    return status(unit.world.disk, unit.world.clock, Layout(kState), Daemon::kRunning,
                  StatusForm::kJson)
        .value();
  };
  CHECK(shown().find("\"bootControl\":{\"error\":{\"code\":7,") != std::string::npos);
  // Put right, it goes on by itself.
  unit.loader().read_error.reset();
  unit.world.vehicle.drive();
  CHECK(unit.world.run_until_state(software, State::kDownloaded, 1800));
  CHECK(!unit.error_of(software));
  CHECK(shown().find("bootControl") == std::string::npos);
}

TEST_CASE("boot control that is lost in the middle of a trial (P4.7)") {
  CarUnit unit;
  unit.boot();
  const auto id = unit.download();
  unit.begin_trial(id);
  unit.boot();  // the trial
  unit.loader().read_error = ErrorCode::kIo;
  unit.world.run(3600);
  CHECK(unit.world.state(id) == State::kRollingBack);
  CHECK(unit.world.agent->record().boot_error->code() == ErrorCode::kIo);
  unit.loader().read_error.reset();
  const int before = unit.world.vehicle.restarts;
  REQUIRE(unit.world.run(1000, [&] { return unit.world.vehicle.restarts > before; }));
  unit.boot();
  REQUIRE(unit.world.run_until_state(id, State::kDownloaded, 60));
  CHECK(unit.keeps(BootSlot::kA));
  CHECK(!unit.world.agent->record().boot_error);
}

// ---- what is taken back -------------------------------------------------------------------------

TEST_CASE("software that cannot be taken back yet is not as before (P4.5, P4.7)") {
  CarUnit unit;
  unit.boot();
  const auto id = unit.download();
  unit.begin_trial(id);
  unit.world.vehicle.fail_health = 1;
  SECTION("boot control cannot be written") {
    unit.boot();
    unit.loader().write_error = ErrorCode::kIo;
    unit.world.run(3600);
    CHECK(unit.world.state(id) == State::kRollingBack);
    // Also in the trial slot anew, and with the boots run out.
    unit.world.start();
    unit.boot();
    unit.world.run(3600);
    CHECK(unit.world.state(id) == State::kRollingBack);
    CHECK(unit.content(BootSlot::kA) == "old");
    unit.loader().write_error.reset();
    unit.world.run(1000);
    CHECK(unit.world.state(id) == State::kDownloaded);
  }
  SECTION("the head unit puts its restart off") {
    unit.boot();
    unit.world.run(4 * 3600);
    CHECK(unit.world.state(id) == State::kRollingBack);
    CHECK(unit.loader().record == BootRecord{});
    CHECK(unit.world.vehicle.booted == CarUnit::path(BootSlot::kB));
    unit.boot();
    REQUIRE(unit.world.run_until_state(id, State::kDownloaded, 60));
  }
  CHECK(unit.error_of(id) == ErrorCode::kHealthCheckFailed);
  CHECK(unit.world.order(id)->attempts == 1);  // its other tries are still there
  CHECK(unit.loader().record == BootRecord{});
  // And they are taken.
  unit.world.exit_and_lock();
  REQUIRE(unit.runs_until_restart());
  unit.boot();
  CHECK(unit.world.run_until_state(id, State::kActive, 60));
  CHECK(unit.keeps(BootSlot::kB));
}

TEST_CASE("a boot loader that cannot save its countdown is not restarted for ever (P4.5)") {
  CarUnit unit;
  unit.boot();
  const auto id = unit.download();
  unit.begin_trial(id);
  for (int i = 0; i < 30 && unit.world.state(id) == State::kActivating; ++i) {
    unit.loader().write_error = ErrorCode::kIo;  // in the boot loader alone
    unit.boot();
    unit.loader().write_error.reset();
    unit.world.run(5);
  }
  REQUIRE(unit.world.run_until_state(id, State::kDownloaded, 60));
  CHECK(unit.error_of(id) == ErrorCode::kActivationFailed);
  CHECK(unit.world.vehicle.restarts <= 10);
  CHECK(unit.keeps(BootSlot::kA));
}

TEST_CASE("software that fails in a car provisioned without it is taken back, too (P4.5)") {
  CarUnit unit;
  unit.forget_software();
  unit.boot();
  const auto id = unit.download();
  unit.begin_trial(id);
  unit.world.vehicle.fail_health = 1;
  unit.boot();
  REQUIRE(unit.runs_until_restart());
  CHECK(unit.loader().record == BootRecord{});
  unit.boot();
  REQUIRE(unit.world.run_until_state(id, State::kDownloaded, 60));
  CHECK(unit.keeps(BootSlot::kA));
}

TEST_CASE("a trial that no order knows of is ended at the start (P4.7)") {
  CarUnit unit(kTrialOfB);
  REQUIRE(replace_file(unit.world.disk, CarUnit::path(BootSlot::kB), unit.world.old_software));
  SECTION("it runs") {
    unit.boot();
    CHECK(unit.loader().record == BootRecord{});
    const auto id = unit.order();
    REQUIRE(unit.world.run_until_state(id, State::kRefused, 600));
    CHECK(unit.error_of(id) == ErrorCode::kSlotsDisagree);
    CHECK(unit.content(BootSlot::kB) == "old");
  }
  SECTION("its boots have run out") {
    unit.loader().record.trial_left = 0;
    unit.boot();
    CHECK(unit.loader().record == BootRecord{});
    unit.download();
    CHECK(unit.content(BootSlot::kA) == "old");
  }
}
