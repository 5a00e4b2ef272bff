// Power cuts at every operation on the disk of whole updates of every kind, then while the car
// recovers from that, then while it recovers from the recovery: after each it has what it had or
// what it was getting, goes on by itself, and comes to its end (P4.7).
//
// One update is driven; at each operation a copy of the world is taken, its power cut, and driven
// on. The normal run takes a sample, with the seed that it prints (LAYBY_SEED replays it);
// LAYBY_LONG=1 takes every operation.
#include <catch2/catch.hpp>
#include <iostream>
#include <set>

#include "tests/crash/sample.h"
#include "tests/crash/whole_update.h"

using namespace layby;
using namespace layby::tests;
using Survives = MemoryDisk::Survives;

namespace {

constexpr int kDepths = 3;

struct Explorer {
  std::mt19937 random{seed_of_run()};
  std::uint64_t operations = 0;  // of one undisturbed update
  std::uint64_t cuts[kDepths] = {};
  std::vector<std::string> violations;

  bool chance(std::uint32_t one_in) { return random() % one_in == 0; }
  // Operations, counted from a restart, at which the next cut comes.
  std::set<std::uint64_t> next_cuts(int depth);
  void cut(const WholeUpdate& update, Survives survives, int depth, const std::string& trail);
  void cut_each_way(const WholeUpdate& update, int depth, const std::string& trail);
};

// The first operations of a recovery are those that nothing else goes through.
std::set<std::uint64_t> Explorer::next_cuts(int depth) {
  std::set<std::uint64_t> moments;
  if (depth >= kDepths) return moments;
  const int count = chance(is_long_run() && depth == 1 ? 1 : depth + 1) ? 1 : 0;
  for (int i = 0; i < count; ++i) moments.insert(1 + random() % (chance(3) ? 200 : 15));
  return moments;
}

std::string to_string(Survives survives) {
  switch (survives) {
    case Survives::kEverything: return "killed";
    case Survives::kOnlySynced: return "only what was synced is left";
    case Survives::kPerhaps: return "some of what was not synced is left";
  }
  return {};
}

void Explorer::cut(const WholeUpdate& update, Survives survives, int depth,
                   const std::string& trail) {
  WholeUpdate fork(update);
  const std::uint32_t seed = random();
  const std::string here = fmt::format("{}cut at operation {} ({}, {}); ", trail,
                                       fork.world.disk.operations() + 1, to_string(survives), seed);
  ++cuts[depth];
  fork.restart(survives, seed);
  const std::uint64_t begin = fork.world.disk.operations();
  const std::set<std::uint64_t> next = next_cuts(depth + 1);
  fork.world.disk.observer = [&](const std::string& path) {
    fork.look_at_change(path);
    if (next.contains(fork.world.disk.operations() - begin)) cut_each_way(fork, depth + 1, here);
  };
  fork.drive();
  fork.check_end();
  if (fork.world.server.conflicts > 0) violations.push_back(here + "a report was doubled");
  if (fork.errors_of_agent > 0) violations.push_back(here + "the agent reported an error");
  for (const std::string& what : fork.violations) violations.push_back(here + what);
}

void Explorer::cut_each_way(const WholeUpdate& update, int depth, const std::string& trail) {
  if (depth == 0 && is_long_run()) {
    for (const Survives survives :
         {Survives::kEverything, Survives::kOnlySynced, Survives::kPerhaps, Survives::kPerhaps})
      cut(update, survives, depth, trail);
    return;
  }
  const Survives one_of[] = {Survives::kEverything, Survives::kOnlySynced, Survives::kPerhaps};
  cut(update, one_of[random() % 3], depth, trail);
}

std::uint64_t operations_of(const WholeUpdate& before) {
  WholeUpdate update(before);
  const std::uint64_t begin = update.world.disk.operations();
  const bool ended = update.drive();
  update.check_end();
  for (const std::string& what : update.violations) UNSCOPED_INFO("undisturbed: " << what);
  REQUIRE((ended && update.violations.empty()));
  return update.world.disk.operations() - begin;
}

void explore(const UpdateKind& kind, std::uint64_t sample) {
  Explorer explorer;
  const WholeUpdate before(kind);
  explorer.operations = operations_of(before);
  const auto chosen = sample_of(explorer.operations, sample, seed_of_run());
  WholeUpdate update(before);
  const std::uint64_t begin = update.world.disk.operations();
  update.world.disk.observer = [&](const std::string& path) {
    update.look_at_change(path);
    const std::uint64_t operation = update.world.disk.operations() - begin;
    if (chosen.contains(operation)) explorer.cut_each_way(update, 0, {});
  };
  update.drive();
  update.check_end();
  for (const std::string& what : update.violations) explorer.violations.push_back(what);
  std::cout << fmt::format(
                   "power cuts, {}: {} operations; {} cuts, {} in a recovery, {} in its recovery; "
                   "{} violations; LAYBY_SEED={}",
                   kind.name, explorer.operations, explorer.cuts[0], explorer.cuts[1],
                   explorer.cuts[2], explorer.violations.size(), seed_of_run())
            << std::endl;
  for (std::size_t i = 0; i < std::min<std::size_t>(8, explorer.violations.size()); ++i)
    UNSCOPED_INFO(explorer.violations[i]);
  CHECK(explorer.violations.empty());
}

}  // namespace

TEST_CASE("a power cut at any operation leaves old or new, and the update ends (P4.7)") {
  for (const UpdateKind& kind : update_kinds()) DYNAMIC_SECTION(kind.name) {
      explore(kind, 12);
    }
}
