// Programs of the firmware's in place of commands to the car.
#include "agent/hook_vehicle.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

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
  Result<void> run(const std::string& body, std::int64_t seconds_max = 60) {
    HookVehicle car(inner, clock,
                    {.programs = {{Hook::kReload, {program(body)}}}, .seconds_max = seconds_max});
    return car.reload_maps("/maps/sets/3");
  }
  Result<void> check(const std::string& path) {
    HookVehicle car(inner, clock, {.programs = {{Hook::kCheck, {path}}}});
    return car.check_software("/slot");
  }
  // Whether the process whose number the hook wrote still runs after so long.
  bool runs_for(std::int64_t ms) {
    const std::string about = "/proc/" + std::to_string(std::stoi(said())) + "/stat";
    for (const auto until = clock.monotonic_ms() + ms; clock.monotonic_ms() < until;) {
      std::ifstream stat(about);
      const std::string text(std::istreambuf_iterator<char>(stat), {});
      const std::size_t name_end = text.rfind(") ");
      // Who has adopted it may be long in collecting it.
      if (name_end == std::string::npos || text[name_end + 2] == 'Z') return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  }
};

// A signal's disposition, for as long as it lives.
class Disposition {
 public:
  Disposition(int signal, void (*handler)(int))
      : signal_(signal), before_(std::signal(signal, handler)) {}
  ~Disposition() { std::signal(signal_, before_); }
  Disposition(const Disposition&) = delete;
  Disposition& operator=(const Disposition&) = delete;

 private:
  const int signal_;
  void (*const before_)(int);
};

// No file can be opened while it lives.
class NoMoreFiles {
 public:
  NoMoreFiles() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit none{3, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoMoreFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoMoreFiles(const NoMoreFiles&) = delete;
  NoMoreFiles& operator=(const NoMoreFiles&) = delete;

 private:
  rlimit before_{};
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
  const auto run = [&](const std::string& body) { return bench.run(body); };
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
  CHECK(!run("yes | head -c 200000; exit 3"));
}

TEST_CASE("a hook that hangs is killed with what it has started, and counts as not now") {
  Bench bench;
  const auto begun_ms = bench.clock.monotonic_ms();
  const auto hung = bench.run("sleep 600 & echo $! >" + (bench.dir / "said") + "; sleep 600", 5);
  REQUIRE(!hung);
  CHECK(hung.error().code() == ErrorCode::kUnavailable);
  CHECK(bench.clock.monotonic_ms() - begun_ms < 60'000);
  CHECK(!bench.runs_for(30'000));
}

TEST_CASE("what a hook leaves in the background goes on") {
  Bench bench;
  REQUIRE(bench.run("sleep 600 & echo $! >" + (bench.dir / "said")));
  CHECK(bench.runs_for(200));
  ::kill(std::stoi(bench.said()), SIGKILL);
}

TEST_CASE("a hook gets none of the agent's descriptors, signals and directory") {
  Bench bench;
  int sockets[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);  // as libcurl's, inherited
  const auto looked = bench.run("cd /proc/self && ls -l fd >" + (bench.dir / "said"));
  ::close(sockets[0]);
  ::close(sockets[1]);
  REQUIRE(looked);
  CHECK(bench.said().find("/dev/null") != std::string::npos);
  CHECK(bench.said().find("socket:") == std::string::npos);
  REQUIRE(bench.run("pwd >" + (bench.dir / "said")));
  CHECK(bench.said() == "/\n");
  const Disposition deaf(SIGPIPE, SIG_IGN);
  const auto piped = bench.run("kill -PIPE $$; exit 0");
  REQUIRE(!piped);
  CHECK(piped.error().message().find("signal 13") != std::string::npos);
}

TEST_CASE("a hook whose end nobody can know was asked, but not answered") {
  Bench bench;
  const auto begun_ms = bench.clock.monotonic_ms();
  const Disposition childless(SIGCHLD, SIG_IGN);
  const auto lost = bench.run("exit 0", 300);
  REQUIRE(!lost);
  CHECK(lost.error().code() == ErrorCode::kUnavailable);
  CHECK(bench.clock.monotonic_ms() - begun_ms < 100'000);
}

TEST_CASE("a hook that cannot be started is one that could not do it") {
  Bench bench;
  const auto checked = bench.check("/nowhere/hook");
  REQUIRE(!checked);
  CHECK(checked.error().code() == ErrorCode::kHealthCheckFailed);
  CHECK(checked.error().message().find("/nowhere/hook") != std::string::npos);
  for (const Hook hook : {Hook::kActivate, Hook::kDeactivate, Hook::kBoot, Hook::kCheck,
                          Hook::kReload, Hook::kRestart})
    CHECK(hook_from(to_string(hook)) == hook);
}

TEST_CASE("what this machine is short of says nothing about the car (P4.5)") {
  Bench bench;
  const std::string path = bench.program("exit 0");
  Result<void> checked;
  {
    const NoMoreFiles limit;
    checked = bench.check(path);
  }
  REQUIRE(!checked);
  CHECK(checked.error().code() == ErrorCode::kUnavailable);
#ifndef LAYBY_EMULATED
  const int written = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);  // it is just being replaced
  REQUIRE(written >= 0);
  checked = bench.check(path);
  ::close(written);
  REQUIRE(!checked);
  CHECK(checked.error().code() == ErrorCode::kUnavailable);
#endif
  CHECK(bench.check(path));
}
