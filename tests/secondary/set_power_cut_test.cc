// Power cuts in the middle of a set of two: of the primary at each operation of its disk, of each
// ECU at each operation of its own, and again in the recovery. However it goes, both ECUs end with
// the old software or both with the new, and order and reports say which.
//
// The normal run takes a sample, with the seed that it prints (LAYBY_SEED replays it); LAYBY_LONG=1
// takes every operation.
#include <catch2/catch.hpp>
#include <iostream>
#include <random>

#include "base/assert.h"
#include "tests/crash/sample.h"
#include "tests/secondary/car.h"

using namespace layby;
using namespace layby::tests;
using agent::State;
using Survives = MemoryDisk::Survives;

namespace {

constexpr std::uint64_t kSample = 150;

const std::vector<std::string> kVictims = {"primary", kBrakeSerial, kCameraSerial};

// A set that lies in the car, which is left and locked in this moment.
struct Moment {
  Car car;
  manifest::OrderId id;

  Moment() : id(car.order_set()) {
    LAYBY_ASSERT(car.world.run_until_state(id, State::kDownloaded, 600));
    car.world.run(60);
    car.world.vehicle.stand_open();
    car.world.run(0);
    car.world.agent.reset();
    car.world.vehicle.park_locked();
  }
};

MemoryDisk& disk_of(Car& car, const std::string& victim) {
  return victim == kVictims.front() ? car.world.disk : car.ecus.at(victim)->disk;
}

// One run through power cuts.
class Run {
 public:
  enum class Ecus { kWell, kPerhaps };  // or one fails the check of the first try
  Run(const Moment& from, Ecus ecus, std::uint32_t seed)
      : car_(from.car), id_(from.id), random_(seed) {
    if (ecus == Ecus::kPerhaps && random_() % 3 == 0)
      car_.ecus.at(one_ecu())->firmware.is_well = false;
    car_.link.at_ecu_power_cut = [this] { note_cut(); };
    next_survives();
  }

  void cut_at(const std::string& victim, std::uint64_t operation) {
    MemoryDisk& disk = disk_of(car_, victim);
    disk.cut_power_at(disk.operations() + operation);
  }

  // Both are the same; what they are, and what the server has heard of it, belong together.
  void check_whole() {
    const std::string kept = car_.kept();
    REQUIRE((kept == "old" || kept == "new"));
    for (const auto& [serial, box] : car_.ecus)
      REQUIRE(box->firmware.running == box->firmware.kept);
    const bool is_new = kept == "new";
    REQUIRE((car_.world.state(id_) == State::kActive) == is_new);
    REQUIRE(car_.world.server.conflicts == 0);
    const auto said = car_.world.server.reported(id_);
    REQUIRE(said);
    REQUIRE((said->state == manifest::OrderState::kActive) == is_new);
    for (const auto& [serial, box] : car_.ecus) {
      const auto& installed = car_.world.server.reports_of(serial).back().installed;
      REQUIRE(installed.begin()->second.release_counter == (is_new ? 2 : 0));
    }
  }

  void check() {
    run(3600);
    look_at_server();
    check_whole();
    for (const auto& [serial, box] : car_.ecus) box->firmware.is_well = true;
    for (int locks = 0; locks < 3 && car_.world.state(id_) != State::kActive; ++locks) {
      car_.world.vehicle.stand_open();
      run(0);
      car_.world.vehicle.park_locked();
      run(3600);
      look_at_server();
      check_whole();
    }
    REQUIRE(car_.kept() == "new");
  }

  int cuts() const { return cuts_; }
  Car& car() { return car_; }

  // On and on, however often the primary starts anew, and whoever does not come back for a while.
  void run(std::int64_t seconds) {
    for (;;) {
      try {
        if (!car_.link.down.empty()) car_.world.run(kSilentSeconds);
        car_.link.down.clear();
        car_.world.run(seconds);
        return;
      } catch (const PowerCut&) {
        cut_primary();
      }
    }
  }

 private:
  // Who was silent at the last report is asked again with the next look, at the latest.
  void look_at_server() {
    car_.world.agent->check_now();
    run(1800);
  }

  void next_survives() {
    constexpr Survives kEach[] = {Survives::kEverything, Survives::kOnlySynced, Survives::kPerhaps};
    car_.link.survives = kEach[random_() % 3];
    car_.link.seed = random_();
  }

  // Every third recovery is cut off too.
  void note_cut() {
    ++cuts_;
    next_survives();
    if (cuts_ < kCutsMax && random_() % 3 == 0)
      cut_at(kVictims[random_() % kVictims.size()], 1 + random_() % 40);
  }

  void cut_primary() {
    car_.world.agent.reset();
    car_.world.disk.restart(car_.link.survives, car_.link.seed);
    // Often it is the whole car that loses power.
    if (random_() % 2 == 0)
      for (const auto& [serial, box] : car_.ecus)
        box->power_cut(car_.link.survives, car_.link.seed);
    if (random_() % 3 == 0) car_.link.down = {one_ecu()};
    note_cut();
  }

  const std::string& one_ecu() { return kVictims[1 + random_() % 2]; }

  static constexpr int kCutsMax = 3;
  static constexpr std::int64_t kSilentSeconds = 1200;  // more than the primary waits for

  Car car_;
  const manifest::OrderId id_;
  std::mt19937 random_;
  int cuts_ = 0;
};

// Operations of each victim's disk in a run without a cut.
std::vector<std::uint64_t> operations_of(const Moment& moment) {
  Run run(moment, Run::Ecus::kWell, 0);
  std::vector<std::uint64_t> counts;
  for (const std::string& victim : kVictims)
    counts.push_back(disk_of(run.car(), victim).operations());
  run.check();
  for (std::size_t i = 0; i < kVictims.size(); ++i)
    counts[i] = disk_of(run.car(), kVictims[i]).operations() - counts[i];
  return counts;
}

}  // namespace

TEST_CASE("P4.7: power cuts of the primary and of each ECU of a set leave both old or both new") {
  const Moment moment;
  const auto counts = operations_of(moment);
  const int rounds = is_long_run() ? 4 : 1;
  int cuts = 0, runs = 0;
  for (std::size_t i = 0; i < kVictims.size(); ++i) {
    REQUIRE(counts[i] > 0);
    const auto chosen = sample_of(counts[i], kSample / kVictims.size(), seed_of_run());
    for (const std::uint64_t operation : chosen)
      for (int round = 0; round < rounds; ++round) {
        const auto seed = static_cast<std::uint32_t>(seed_of_run() + operation * rounds + round);
        INFO(kVictims[i] << " at operation " << operation << ", seed " << seed
                         << ", LAYBY_SEED=" << seed_of_run());
        Run run(moment, Run::Ecus::kPerhaps, seed);
        run.cut_at(kVictims[i], operation);
        run.check();
        cuts += run.cuts();
        ++runs;
      }
  }
  // One of the last operations may not come, as polls are jittered; every third recovery is cut
  // too.
  CHECK(cuts >= runs);
  std::cout << fmt::format("power cuts in a set: {} cuts, operations {}, {} and {}; LAYBY_SEED={}",
                           cuts, counts[0], counts[1], counts[2], seed_of_run())
            << std::endl;
}
