// A disk that fills up, fails or flips bits at any operation of whole updates of every kind: the
// car always has what it had or what it was getting, and comes to the end by itself as soon as the
// medium lets it (P4.5, P4.7). Sampled; LAYBY_LONG=1 takes every operation.
#include <catch2/catch.hpp>
#include <iostream>

#include "tests/crash/sample.h"
#include "tests/crash/whole_update.h"

using namespace layby;
using namespace layby::tests;

namespace {

struct FaultKind {
  const char* name;  // as docs/faults.md calls it
  Fault::Kind kind;
  Fault::Lasts lasts;
  bool strikes_reads;
  // A medium that keeps its damage may make the update fail; it never makes it a mixture.
  enum class Must { kSucceed, kSucceedOrStay } must;
};

constexpr FaultKind kFullOnce{"a full disk, once", Fault::Kind::kDiskFull, Fault::Lasts::kOnce,
                              false, FaultKind::Must::kSucceed};
constexpr FaultKind kFull{"a full disk", Fault::Kind::kDiskFull, Fault::Lasts::kForEver, false,
                          FaultKind::Must::kSucceed};
constexpr FaultKind kWriteOnce{"a failed write", Fault::Kind::kWriteError, Fault::Lasts::kOnce,
                               false, FaultKind::Must::kSucceed};
constexpr FaultKind kNoWrites{"no more writes", Fault::Kind::kWriteError, Fault::Lasts::kForEver,
                              false, FaultKind::Must::kSucceed};
constexpr FaultKind kReadOnce{"a failed read", Fault::Kind::kReadError, Fault::Lasts::kOnce, true,
                              FaultKind::Must::kSucceed};
constexpr FaultKind kUnreadable{"an unreadable file", Fault::Kind::kReadError,
                                Fault::Lasts::kForEver, true, FaultKind::Must::kSucceedOrStay};
constexpr FaultKind kFlip{"a bit flipped on read", Fault::Kind::kBitFlip, Fault::Lasts::kOnce, true,
                          FaultKind::Must::kSucceed};
constexpr FaultKind kRot{"a bit flipped on the medium", Fault::Kind::kBitFlip,
                         Fault::Lasts::kForEver, true, FaultKind::Must::kSucceedOrStay};

struct Tally {
  std::uint64_t tried = 0, struck = 0, errors_of_agent = 0, stuck = 0;
  std::vector<std::string> violations;
};

void strike(const WholeUpdate& before, const FaultKind& fault, std::uint64_t at, Tally& tally) {
  WholeUpdate update(before);
  update.world.disk.inject({.kind = fault.kind, .lasts = fault.lasts, .at = at});
  const bool heals = fault.must == FaultKind::Must::kSucceed;
  if (heals)
    update.world.disk.observer = [&](const std::string& path) { update.look_at_change(path); };
  if (!update.drive(fault.lasts == Fault::Lasts::kForEver && heals ? 2 : kRoundsMax) && heals) {
    update.look();
    update.world.disk.heal();
    if (fault.kind == Fault::Kind::kWriteError) {
      // What was not synced may be gone: somebody takes the battery off to help.
      update.world.disk.observer = {};
      update.restart(MemoryDisk::Survives::kPerhaps, static_cast<std::uint32_t>(at));
    }
    update.drive();
  }
  ++tally.tried;
  if (update.world.disk.has_struck()) ++tally.struck;
  tally.errors_of_agent += static_cast<std::uint64_t>(update.errors_of_agent);
  if (heals) {
    update.check_end();
  } else {
    update.check_end_or_before();
  }
  const std::string unit = fault.strikes_reads ? "read" : "operation";
  if (!heals && !update.has_ended()) ++tally.stuck;
  for (const std::string& what : update.violations)
    tally.violations.push_back(fmt::format("{} at {} {} {}; {}", fault.name, unit, at,
                                           update.world.disk.struck_path(), what));
}

void explore(const FaultKind& fault, std::uint64_t sample) {
  for (const UpdateKind& kind : update_kinds()) {
    // With one more fault a car that fails by itself may give up, and says so (P4.5).
    if (std::string(kind.name).find("fail") != std::string::npos) continue;
    // A car that can keep nothing cannot take in that an order was cancelled.
    const bool takes_in = fault.strikes_reads || fault.lasts == Fault::Lasts::kOnce;
    if (!takes_in && std::string(kind.name) == "cancelled order") continue;
    DYNAMIC_SECTION(fault.name << ", " << kind.name) {
      const WholeUpdate before(kind);
      WholeUpdate undisturbed(before);
      const MemoryDisk& disk = undisturbed.world.disk;
      const std::uint64_t operations = disk.operations(), reads = disk.reads();
      undisturbed.drive();
      undisturbed.check_end();
      REQUIRE(undisturbed.violations.empty());
      const std::uint64_t total =
          fault.strikes_reads ? disk.reads() - reads : disk.operations() - operations;
      Tally tally;
      for (const std::uint64_t at : sample_of(total, sample, seed_of_run()))
        strike(before, fault, at, tally);
      std::cout << fmt::format(
                       "{}, {}: {} of {} tried, {} struck, {} restarts, {} stay as they were; "
                       "{} violations; "
                       "LAYBY_SEED={}",
                       fault.name, kind.name, tally.tried, total, tally.struck,
                       tally.errors_of_agent, tally.stuck, tally.violations.size(), seed_of_run())
                << std::endl;
      for (std::size_t i = 0; i < std::min<std::size_t>(8, tally.violations.size()); ++i)
        UNSCOPED_INFO(tally.violations[i]);
      CHECK(tally.violations.empty());
    }
  }
}

// The power goes, and takes both records of the journal with it.
void lose_journal(const WholeUpdate& update, std::uint64_t at, Tally& tally) {
  WholeUpdate fork(update);
  fork.restart(MemoryDisk::Survives::kOnlySynced, static_cast<std::uint32_t>(at));
  for (const char* name : {"/journal.0", "/journal.1"}) {
    const MemoryDisk::Quiet quiet(fork.world.disk);
    const auto file = fork.world.disk.open_write(kState + std::string(name)).value();
    REQUIRE((file->write_at(20, as_bytes("rubbish")) && file->sync()));
  }
  fork.world.server.at_payload = {};  // marks may be lost
  fork.check_counters();
  fork.world.disk.observer = [&](const std::string& path) { fork.look_at_change(path); };
  fork.drive();
  fork.check_end();
  ++tally.tried;
  for (const std::string& what : fork.violations)
    tally.violations.push_back(fmt::format("journal lost at operation {}; {}", at, what));
}

}  // namespace

TEST_CASE("both records of the journal are lost at any operation, and it goes on (P4.7)") {
  for (const UpdateKind& kind : update_kinds()) {
    DYNAMIC_SECTION(kind.name) {
      const WholeUpdate before(kind);
      WholeUpdate undisturbed(before), update(before);
      const std::uint64_t begin = undisturbed.world.disk.operations();
      undisturbed.drive();
      undisturbed.check_end();
      const std::uint64_t total = undisturbed.world.disk.operations() - begin;
      const auto chosen = sample_of(total, 4, seed_of_run());
      Tally tally;
      update.world.disk.observer = [&](const std::string&) {
        const std::uint64_t at = update.world.disk.operations() - begin;
        if (chosen.contains(at)) lose_journal(update, at, tally);
      };
      update.drive();
      std::cout << fmt::format("journal lost, {}: {} of {} tried; {} violations; LAYBY_SEED={}",
                               kind.name, tally.tried, total, tally.violations.size(),
                               seed_of_run())
                << std::endl;
      for (std::size_t i = 0; i < std::min<std::size_t>(8, tally.violations.size()); ++i)
        UNSCOPED_INFO(tally.violations[i]);
      CHECK(tally.violations.empty());
    }
  }
}

TEST_CASE("a disk that fills up in the middle leaves old or new, and it goes on (P4.5)") {
  explore(kFull, 3);
  explore(kFullOnce, 2);
}

TEST_CASE("writes that fail leave old or new, and it goes on (P4.7)") {
  explore(kWriteOnce, 3);
  explore(kNoWrites, 2);
}

TEST_CASE("reads that fail leave old or new, and it goes on (P4.7)") {
  explore(kReadOnce, 3);
  explore(kUnreadable, 2);
}

TEST_CASE("flipped bits leave old or new, and it goes on (P4.7)") {
  explore(kFlip, 3);
  explore(kRot, 2);
}
