// Two real `layby-ecu` processes, real sockets, and the agent.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/pairing.h"
#include "agent/secondary_link.h"
#include "tests/agent/world.h"
#include "tests/temp_dir.h"

extern char** environ;

using namespace layby;
using namespace layby::tests;
using agent::State;

namespace {

class Process {
 public:
  explicit Process(std::vector<std::string> arguments) {
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    REQUIRE(::posix_spawn(&pid_, pointers[0], nullptr, nullptr, pointers.data(), environ) == 0);
  }
  ~Process() { end(SIGKILL); }
  Process(const Process&) = delete;
  int wait() {
    int status = 0;
    REQUIRE(::waitpid(std::exchange(pid_, -1), &status, 0) > 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int end(int signal) {
    if (pid_ <= 0) return 0;
    ::kill(pid_, signal);
    return wait();
  }

 private:
  pid_t pid_ = -1;
};

// One ECU: its directory, its check hook, its process.
class RealEcu {
 public:
  RealEcu(const std::string& directory, const FakeServer& server, std::string serial,
          const std::string& hardware, const std::string& verification, const Bytes& software)
      : directory_(directory + "/" + serial), serial_(std::move(serial)) {
    RealDisk disk;
    REQUIRE(disk.make_dirs(directory_));
    REQUIRE(replace_file(disk, directory_ + "/director.json", server.director_root()));
    REQUIRE(replace_file(disk, directory_ + "/image.json", server.image_root()));
    REQUIRE(replace_file(disk, directory_ + "/factory.img", software));
    std::ofstream(hook()) << "#!/bin/sh\necho \"$@\" >> " << log()
                          << "\n[ \"$1\" != check ] || [ ! -e " << directory_ << "/unwell ]\n";
    std::filesystem::permissions(hook(), std::filesystem::perms::owner_all);
    std::vector<std::string> arguments = {program(),         "provision",
                                          "--state",         state(),
                                          "--vin",           kVin,
                                          "--serial",        serial_,
                                          "--hardware",      hardware,
                                          "--verification",  verification,
                                          "--director-root", directory_ + "/director.json",
                                          "--software",      directory_ + "/factory.img"};
    if (verification == "full") {
      arguments.push_back("--image-root");
      arguments.push_back(directory_ + "/image.json");
    }
    CHECK(Process(arguments).wait() == 0);
    CHECK(Process(arguments).wait() != 0);  // once
    start();
  }

  void start() {
    process_ = std::make_unique<Process>(
        std::vector<std::string>{program(), "run", "--state", state(), "--socket", socket(),
                                 "--boot-hook", hook(), "--check-hook", hook()});
    for (int i = 0; i < 3000; ++i) {
      if (secondary::connect_to(socket())) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL("the ECU does not listen");
  }
  int end(int signal) { return process_->end(signal); }
  void set_well(bool is_well) const {
    std::filesystem::remove(directory_ + "/unwell");
    if (!is_well) std::ofstream(directory_ + "/unwell") << "x";
  }
  static std::string program() { return std::string(LAYBY_BIN_DIR) + "/layby-ecu"; }
  std::string socket() const { return directory_ + "/ecu.sock"; }
  std::string state() const { return directory_ + "/state"; }
  std::string hook() const { return directory_ + "/hook"; }
  std::string log() const { return directory_ + "/hook.log"; }
  Bytes kept() const {
    RealDisk disk;
    const secondary::EcuLayout layout(state());
    const auto now = secondary::read_state(disk, layout).value();
    return read_file(disk, layout.slot(now.kept), 1 << 20).value();
  }
  std::string said_to_hook() const {
    RealDisk disk;
    const auto bytes = read_file(disk, log(), 1 << 20);
    return bytes ? std::string(as_text(*bytes)) : "";
  }

 private:
  std::string directory_, serial_;
  std::unique_ptr<Process> process_;
};

struct RealCar {
  RealCar() {
    const auto met = agent::meet_ecus(link, {.addresses = {brake.socket(), camera.socket()}});
    REQUIRE(met);
    CHECK(met->at(1).ecu.serial.text() == "CAM-1");
    agent::EcuList list{.addresses = {brake.socket(), camera.socket()}};
    for (const auto& [ecu, report] : *met) {
      world.server.add_ecu(ecu.serial.text(), ecu.hardware.text(), ecu.key);
      list.paired.push_back(ecu);
    }
    REQUIRE(agent::write_ecu_list(world.disk, agent::Layout(kState), list));
    world.options.secondaries = &link;
    for (const char* hardware : {"brake-2", "camera-3"})
      world.server.publish({.name = fmt::format("software/{}/2.img", hardware),
                            .bytes = new_software,
                            .base = old_software,
                            .release_counter = 2});
  }
  manifest::OrderId order_set() {
    return world.server.order({"software/brake-2/2.img", "software/camera-3/2.img"});
  }
  std::string kept() const {
    const Bytes one = brake.kept(), two = camera.kept();
    if (one != two) return "mixture";
    return one == old_software ? "old" : one == new_software ? "new" : "damaged";
  }

  TempDir directory;
  World world;
  Bytes old_software = noise(300'000, 61), new_software = changed(old_software, 62);
  RealEcu brake{directory.path(), world.server, "BRK-1", "brake-2", "partial", old_software};
  RealEcu camera{directory.path(), world.server, "CAM-1", "camera-3", "full", old_software};
  // The car's clock is not that of the processes, which a sanitizer and a busy machine slow down.
  agent::SocketLink link{world.clock, 10};
};

}  // namespace

TEST_CASE("Two ECU processes: one is updated alone, then both as a set, over real sockets") {
  RealCar car;
  const auto one = car.world.server.order({"software/brake-2/2.img"});
  REQUIRE(car.world.run_until_state(one, State::kDownloaded, 600));
  car.world.exit_and_lock();
  REQUIRE(car.world.run_until_state(one, State::kActive, 3600));
  CHECK(car.brake.kept() == car.new_software);
  CHECK(car.camera.kept() == car.old_software);
  CHECK(car.brake.said_to_hook().find("boot trial ") == 0);
  CHECK(car.brake.said_to_hook().find("\nboot keep ") != std::string::npos);
  car.world.server.cancel(one);
  const auto set = car.order_set();
  REQUIRE(car.world.run_until_state(set, State::kDownloaded, 3600));
  car.world.exit_and_lock();
  REQUIRE(car.world.run_until_state(set, State::kActive, 3600));
  CHECK(car.kept() == "new");
  CHECK(car.brake.end(SIGTERM) == 0);
  CHECK_FALSE(std::filesystem::exists(car.brake.socket()));
}

TEST_CASE("Two ECU processes: a set with one that is unwell, or killed, ends with both old") {
  RealCar car;
  const auto set = car.order_set();
  REQUIRE(car.world.run_until_state(set, State::kDownloaded, 600));
  car.camera.set_well(false);
  car.world.exit_and_lock();
  car.world.run(120);
  CHECK(car.kept() == "old");
  car.camera.set_well(true);

  // Killed as soon as it runs the new software; started again by the firmware's supervisor.
  car.world.exit_and_lock();
  bool is_killed = false;
  car.world.run(3600, [&] {
    if (!is_killed && car.world.state(set) == State::kConfirming) {
      is_killed = true;
      car.camera.end(SIGKILL);
      car.camera.start();
    }
    return car.world.state(set) == State::kActive ||
           (is_killed && car.world.state(set) == State::kDownloaded);
  });
  CHECK(is_killed);
  CHECK(car.kept() != "mixture");
  for (int locks = 0; locks < 3 && car.world.state(set) != State::kActive; ++locks) {
    car.world.exit_and_lock();
    car.world.run_until_state(set, State::kActive, 3600);
  }
  CHECK(car.kept() == "new");
}
