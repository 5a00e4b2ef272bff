// Boot control: both implementations against independent readers and writers, torn writes, and
// whole updates through a boot loader that does what docs/embedding.md says.
#include "agent/boot_control.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

#include "agent/boot_file.h"
#include "agent/boot_vehicle.h"
#include "agent/uboot_environment.h"
#include "tests/agent/boot_head_unit.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr std::size_t kEnvironmentBytes = 0x400;

bool has_program(const std::string& name) {
  return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0;
}

std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out(4096, '\0');
  out.resize(std::fread(out.data(), 1, out.size(), pipe));
  ::pclose(pipe);
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

void write(const std::string& path, const Bytes& bytes) {
  RealDisk disk;
  REQUIRE(replace_file(disk, path, bytes));
}
Bytes read(const std::string& path) {
  RealDisk disk;
  return read_file(disk, path, kMiB).value();
}

// One copy by hand, byte for byte as docs/embedding.md has it: the third opinion beside ours and
// libubootenv's.
Bytes copy_of(const std::string& variables, std::uint8_t flag) {
  Bytes data = to_bytes(variables);
  data.resize(kEnvironmentBytes - 5, 0);
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const std::uint8_t byte : data)
    for (int bit = 0; bit < 8; ++bit) {
      const bool odd = ((crc ^ (byte >> bit)) & 1) != 0;
      crc = (crc >> 1) ^ (odd ? 0xEDB88320u : 0);
    }
  Bytes copy;
  append_u32(copy, ~crc);
  copy.push_back(flag);
  copy.insert(copy.end(), data.begin(), data.end());
  return copy;
}

// Two copies in one file, as on an eMMC, the first one good.
struct Environment {
  TempDir directory;
  std::string image = directory / "env.img";
  std::string config = directory / "fw_env.config";
  RealDisk disk;

  Environment() {
    Bytes bytes = copy_of(std::string("bootdelay=2\0board=hu-4\0", 23), 1);
    bytes.resize(2 * kEnvironmentBytes, 0);
    write(image, bytes);
    write(config,
          to_bytes("# device offset size\n" + image + " 0x0 0x400\n" + image + " 0x400 0x400\n"));
  }
  UbootEnvironment open() { return UbootEnvironment::open(disk, config).value(); }
};

constexpr BootRecord kTrialOfB{.kept = BootSlot::kA, .trial = BootSlot::kB, .trial_left = 3};
constexpr BootRecord kKeptB{.kept = BootSlot::kB};

}  // namespace

TEST_CASE("U-Boot's environment keeps what is in it, and alternates between its copies") {
  Environment there;
  auto control = there.open();
  CHECK(control.read().value() == BootRecord{});
  for (const BootRecord& record : {kTrialOfB, kKeptB, BootRecord{}, kTrialOfB}) {
    REQUIRE(control.write(record));
    CHECK(there.open().read().value() == record);
  }
  CHECK(control.variables().value().at("board") == "hu-4");
  CHECK(read(there.image)[4] == 5);                      // flags 1, 2, 3, 4, 5
  CHECK(read(there.image)[kEnvironmentBytes + 4] == 4);  // so the first copy is the newer one
}

TEST_CASE("flags begin again behind 255, and a copy with a wrong CRC does not count") {
  Environment there;
  const std::string a("layby_slot=a\0", 13), b("layby_slot=b\0", 13);
  const auto holding = [&](const Bytes& first, const Bytes& second) {
    Bytes bytes = first;
    bytes.insert(bytes.end(), second.begin(), second.end());
    write(there.image, bytes);
    return there.open().read();
  };
  CHECK(holding(copy_of(a, 255), copy_of(b, 0)).value() == kKeptB);
  CHECK(holding(copy_of(a, 0), copy_of(b, 255)).value() == BootRecord{});
  CHECK(holding(copy_of(a, 7), copy_of(b, 8)).value() == kKeptB);
  Bytes damaged = copy_of(b, 8);
  damaged[40] ^= 1;
  CHECK(holding(copy_of(a, 7), damaged).value() == BootRecord{});
  CHECK(holding(damaged, damaged).error().code() == ErrorCode::kCorrupt);
  CHECK(holding(copy_of(std::string("layby_slot=c\0", 13), 1), damaged).error().code() ==
        ErrorCode::kCorrupt);
}

TEST_CASE("a write that is torn at any byte leaves the old or the new (P4.7)") {
  Environment there;
  auto control = there.open();
  REQUIRE(control.write(kTrialOfB));
  const Bytes before = read(there.image);
  REQUIRE(control.write(kKeptB));
  const Bytes after = read(there.image);
  int old_ones = 0, new_ones = 0;
  for (std::size_t cut = 0; cut <= after.size(); ++cut) {
    Bytes torn(after.begin(), after.begin() + static_cast<long>(cut));
    torn.insert(torn.end(), before.begin() + static_cast<long>(cut), before.end());
    write(there.image, torn);
    const BootRecord read = there.open().read().value();
    CHECK((read == kTrialOfB || read == kKeptB));
    ++(read == kKeptB ? new_ones : old_ones);
  }
  CHECK(old_ones > 0);
  CHECK(new_ones > 0);
}

TEST_CASE("fw_printenv reads what we write, and we read what fw_setenv writes") {
  if (!has_program("fw_setenv")) {
    WARN("fw_setenv (libubootenv-tool) is not installed: skipped");
    return;
  }
  Environment there;
  auto control = there.open();
  const std::string print = "fw_printenv -c " + there.config + " -n ";
  const std::string set = "fw_setenv -c " + there.config + " ";
  REQUIRE(control.write(kTrialOfB));
  CHECK(output_of(print + "layby_slot") == "a");
  CHECK(output_of(print + "layby_trial") == "b");
  CHECK(output_of(print + "layby_trial_left") == "3");
  CHECK(output_of(print + "board") == "hu-4");
  // What the boot loader does before a trial boot; then we again, then it.
  CHECK(output_of(set + "layby_trial_left 2").empty());
  BootRecord counted = kTrialOfB;
  counted.trial_left = 2;
  CHECK(there.open().read().value() == counted);
  REQUIRE(there.open().write(kKeptB));
  CHECK(output_of(print + "layby_slot") == "b");
  CHECK(output_of(set + "note 'with spaces = and signs'").empty());
  CHECK(there.open().variables().value().at("note") == "with spaces = and signs");
  CHECK(there.open().read().value() == kKeptB);
}

TEST_CASE("an environment that a power cut could destroy is refused") {
  Environment there;
  const auto with = [&](const std::string& lines) {
    write(there.config, to_bytes(lines));
    const auto opened = UbootEnvironment::open(there.disk, there.config);
    REQUIRE_FALSE(opened);
    return opened.error().code();
  };
  CHECK(with(there.image + " 0x0 0x400\n") == ErrorCode::kUnsupported);
  CHECK(with(there.image + " 0x0 0x400\n" + there.image + " 0x400 0x200\n") ==
        ErrorCode::kUnsupported);
  CHECK(with("/dev/mtd0 0x0 0x400 0x400\n/dev/mtd1 0x0 0x400 0x400\n") == ErrorCode::kUnsupported);
  CHECK(with(there.image + " 0x0 0x400\n" + there.image + " 0x0 0x400\n") ==
        ErrorCode::kUnsupported);
  CHECK(with(there.image + " 0x0 0x400\n" + there.image + " 0x200 0x400\n") ==
        ErrorCode::kUnsupported);
  const std::string link = there.directory / "by-name";
  REQUIRE(there.disk.symlink("env.img", link));
  CHECK(with(there.image + " 0x0 0x400\n" + link + " 0x3ff 0x400\n") == ErrorCode::kUnsupported);
  CHECK(with(there.image + " here 0x400\n") == ErrorCode::kBadFormat);
  CHECK(with(there.image + " 0x0 0x90000000\n") == ErrorCode::kBadFormat);
}

TEST_CASE("a device that is not there yet is not made a file") {
  Environment there;
  const std::string missing = there.directory / "mmcblk0boot1";
  write(there.config, to_bytes(there.image + " 0x0 0x400\n" + missing + " 0x0 0x400\n"));
  auto control = there.open();
  CHECK(control.read().error().code() == ErrorCode::kNotFound);
  CHECK(control.write(kTrialOfB).error().code() == ErrorCode::kNotFound);
  CHECK(!there.disk.status(missing).has_value());
  write(missing, copy_of(std::string("board=hu-4\0", 11), 0));  // it turns up
  CHECK(control.write(kTrialOfB));
  CHECK(control.read().value() == kTrialOfB);
}

TEST_CASE("the file is an environment block of GRUB") {
  const TempDir directory;
  RealDisk disk;
  const std::string path = directory / "grubenv";
  BootFile control(disk, path);
  CHECK(control.read().value() == BootRecord{});
  REQUIRE(control.write(kTrialOfB));
  CHECK(control.read().value() == kTrialOfB);
  CHECK(read(path).size() == 1024);
  if (has_program("grub-editenv")) {
    CHECK(output_of("grub-editenv " + path + " list").find("layby_trial=b") != std::string::npos);
    CHECK(output_of("grub-editenv " + path + " set layby_trial_left=1 other=x").empty());
    CHECK(control.read().value().trial_left == 1);
  } else {
    WARN("grub-editenv is not installed: read by us alone");
  }
  REQUIRE(control.write(kKeptB));
  CHECK(control.read().value() == kKeptB);
  write(path, to_bytes("layby_slot=b\n"));
  CHECK(control.read().error().code() == ErrorCode::kCorrupt);
}

TEST_CASE("the boot loader says what it has booted") {
  CHECK(booted_slot("console=ttyS0 layby.slot=b quiet\n").value() == BootSlot::kB);
  CHECK(booted_slot("layby.slot=a").value() == BootSlot::kA);
  CHECK(booted_slot("quiet xlayby.slot=a\n").error().code() == ErrorCode::kNotFound);
  CHECK(booted_slot("layby.slot=c").error().code() == ErrorCode::kCorrupt);
}

// ---- whole updates ------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("software goes through trial, health check and confirmation (P4.7)", "",
                   UbootEnvironment, BootFile) {
  Environment there;
  std::unique_ptr<BootControl> control;
  if constexpr (std::is_same_v<TestType, BootFile>) {
    control = std::make_unique<BootFile>(there.disk, there.directory / "grubenv");
  } else {
    control = std::make_unique<UbootEnvironment>(there.open());
  }
  HeadUnit unit(std::move(control));
  World& world = unit.world;
  unit.boot();
  const manifest::OrderId order = unit.download();
  world.exit_and_lock();
  REQUIRE(unit.runs_until_restart());
  CHECK(unit.control->read().value() == kTrialOfB);
  CHECK(world.state(order) == State::kActivating);

  SECTION("it comes up and is well") {
    unit.boot();
    CHECK(world.run_until_state(order, State::kActive, 60));
    CHECK(unit.keeps(BootSlot::kB));
    CHECK(unit.content(BootSlot::kB) == "new");
    CHECK(unit.trial_boots == 1);
    world.run(60);
    CHECK(world.server.reported(order)->state == manifest::OrderState::kActive);
  }
  SECTION("the power fails in two of its trial boots") {
    for (int i = 0; i < 2; ++i) CHECK(unit.choose() == BootSlot::kB);
    unit.boot();
    CHECK(world.run_until_state(order, State::kActive, 60));
    CHECK(unit.keeps(BootSlot::kB));
    CHECK(unit.content(BootSlot::kB) == "new");
  }
  SECTION("the agent is ended before the head unit restarts") {
    world.agent.reset();
    auto opened = Agent::open(world.disk, world.clock, world.server, *unit.vehicle, world.options);
    world.agent = std::move(*opened);
    CHECK(!world.run(60, [&] { return world.state(order) != State::kActivating; }));
    unit.boot();
    CHECK(world.run_until_state(order, State::kActive, 60));
  }
  SECTION("it never comes up: after its boots the boot loader takes the old one") {
    for (std::uint32_t i = 0; i < BootVehicle::kTrialBoots; ++i)
      CHECK(unit.choose() == BootSlot::kB);
    unit.boot();
    REQUIRE(world.run_until_state(order, State::kDownloaded, 60));
    CHECK(world.order(order)->error->code() == ErrorCode::kActivationFailed);
    CHECK(unit.keeps(BootSlot::kA));
    CHECK(unit.content(BootSlot::kA) == "old");
    // The next try has all of its boots again.
    world.exit_and_lock();
    REQUIRE(unit.runs_until_restart());
    CHECK(unit.control->read().value() == kTrialOfB);
    unit.boot();
    CHECK(world.run_until_state(order, State::kActive, 60));
    CHECK(unit.keeps(BootSlot::kB));
    CHECK(unit.content(BootSlot::kB) == "new");
  }
  SECTION("it is not well: back to the old one, through one more restart") {
    world.vehicle.fail_health = 1;
    unit.boot();
    REQUIRE(unit.runs_until_restart());
    CHECK(world.state(order) == State::kRollingBack);
    unit.boot();
    REQUIRE(world.run_until_state(order, State::kDownloaded, 60));
    CHECK(world.order(order)->error->code() == ErrorCode::kHealthCheckFailed);
    CHECK(unit.keeps(BootSlot::kA));
    CHECK(unit.content(BootSlot::kA) == "old");
  }
  SECTION("a head unit that does not restart is asked again, and then it is a failure") {
    world.run(300);
    CHECK(world.vehicle.restarts >= 2);
    CHECK(world.vehicle.restarts <= 4);
    REQUIRE(world.run_until_state(order, State::kDownloaded, 3600));
    CHECK(unit.keeps(BootSlot::kA));
    CHECK(unit.content(BootSlot::kA) == "old");
  }
}
