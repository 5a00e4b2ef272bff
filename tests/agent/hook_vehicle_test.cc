// Programs of the firmware's in place of commands to the car.
#include "agent/hook_vehicle.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/disk.h"
#include "tests/agent/fake_vehicle.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

struct Bench {
  TempDir dir;
  SystemClock clock;
  RealDisk disk;
  FakeVehicle inner{clock, disk};

  std::string program(const std::string& body) {
    const std::string path = dir / "hook.sh";
    REQUIRE(replace_file(disk, path, as_bytes("#!/bin/sh\n" + body)));
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
    return path;
  }
  std::string said() {
    const auto bytes = read_file(disk, dir / "said", 10'000);
    return bytes ? std::string(as_text(*bytes)) : "";
  }
};

}  // namespace

TEST_CASE("a hook gets the command as arguments and in its environment, and nothing else") {
  Bench bench;
  const std::string path = bench.program("echo \"$@\" >" + (bench.dir / "said") +
                                         "; env | sort >>" + (bench.dir / "said"));
  HookVehicle car(
      bench.inner, bench.clock,
      {.programs = {{Hook::kActivate, {path, "--bus", "can0"}}, {Hook::kBoot, {path}}}});
  REQUIRE(car.activate_function("adaptive-cruise", "/data/f.pkg", "2027-01-01T00:00:00Z"));
  CHECK(bench.said().find(
            "--bus can0 activate adaptive-cruise /data/f.pkg 2027-01-01T00:00:00Z\n") == 0);
  CHECK(bench.said().find("LAYBY_FUNCTION=adaptive-cruise\n") != std::string::npos);
  CHECK(bench.said().find("LAYBY_UNTIL=2027-01-01T00:00:00Z\n") != std::string::npos);
  CHECK(bench.said().find("HOME=") == std::string::npos);
  REQUIRE(car.boot_software(BootStep::kRevert, "/dev/mmcblk0p2"));
  CHECK(bench.said().find("boot revert /dev/mmcblk0p2\n") == 0);
  // What has no hook is the car's.
  REQUIRE(car.deactivate_function("x"));
  REQUIRE(bench.inner.log.size() == 1);
}

TEST_CASE("exit statuses: done, not now, refused with what it says") {
  Bench bench;
  const auto run = [&](const std::string& body, std::int64_t seconds_max = 60) {
    const std::string path = bench.program(body);
    HookVehicle car(bench.inner, bench.clock,
                    {.programs = {{Hook::kReload, {path}}}, .seconds_max = seconds_max});
    return car.reload_maps("/maps/sets/3");
  };
  CHECK(run("exit 0"));
  const auto busy = run("exit 75");
  REQUIRE(!busy);
  CHECK(busy.error().code() == ErrorCode::kUnavailable);
  const auto refused = run("echo the navigation does not start >&2; exit 1");
  REQUIRE(!refused);
  CHECK(refused.error().code() == ErrorCode::kActivationFailed);
  CHECK(refused.error().message().find("the navigation does not start") != std::string::npos);
  const auto killed = run("kill -9 $$");
  REQUIRE(!killed);
  CHECK(killed.error().message().find("signal 9") != std::string::npos);
  // One that hangs is killed, with what it has started; one that talks without end does no harm.
  const auto begun_ms = bench.clock.monotonic_ms();
  const auto hung = run("sleep 60 & sleep 60", 1);
  REQUIRE(!hung);
  CHECK(hung.error().code() == ErrorCode::kUnavailable);
  CHECK(bench.clock.monotonic_ms() - begun_ms < 20'000);
  CHECK(!run("yes | head -c 200000; exit 3"));
}

TEST_CASE("a hook that cannot be started is one that could not do it") {
  Bench bench;
  HookVehicle car(bench.inner, bench.clock, {.programs = {{Hook::kCheck, {"/nowhere/hook"}}}});
  const auto checked = car.check_software("/slot");
  REQUIRE(!checked);
  CHECK(checked.error().message().find("/nowhere/hook") != std::string::npos);
  for (const Hook hook : {Hook::kActivate, Hook::kDeactivate, Hook::kBoot, Hook::kCheck,
                          Hook::kReload, Hook::kRestart})
    CHECK(hook_from(to_string(hook)) == hook);
}
