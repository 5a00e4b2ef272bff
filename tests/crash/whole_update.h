// Whole updates of every kind, driven from the order to the last report, with everything that has
// to hold at each moment and in the end (P4.7). What goes wrong meanwhile is up to the tests.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/agent/world.h"

namespace layby::tests {

// What an update of this kind has to come to.
struct Ends {
  std::vector<std::pair<manifest::OrderId, std::optional<agent::State>>> orders;  // nothing: gone
  std::string maps = "old", software = "old";
  std::map<std::string, std::uint64_t> licence_counters;    // that have to be reached
  std::map<std::string, Bytes> functions;                   // that are on, with their packages
  std::map<std::string, std::vector<Bytes>> packages_once;  // that were right before
};

struct UpdateKind {
  const char* name;  // as docs/faults.md calls it
  // Brings the world to the moment before the car hears of the update, and orders it.
  void (*place)(World& world, Ends& ends);
};
const std::vector<UpdateKind>& update_kinds();

constexpr int kRoundsMax = 14;  // of leaving and coming back

class WholeUpdate {
 public:
  explicit WholeUpdate(const UpdateKind& kind);
  // The same moment in another world, without an agent.
  WholeUpdate(const WholeUpdate& other);

  World world;
  std::vector<std::string> violations;
  int errors_of_agent = 0;  // an error from `step` or `open`; the daemon is started again

  // A power cut, or a kill (kEverything), and what the start after it finds.
  void restart(MemoryDisk::Survives survives, std::uint32_t seed);
  // Somebody drives, leaves, comes back, until every order has ended and the server has heard of
  // it; false if that never happens.
  bool drive(int rounds_max = kRoundsMax);
  bool has_ended() const;
  // What must hold at every moment.
  void look();
  // The same, if the operation on this path may have changed it. For the disk's observer.
  void look_at_change(const std::string& path);
  // Everything is as it has to be in the end, and nothing is left over.
  void check_end();
  // The end, or where faults do not let it come to it, the car as it was.
  void check_end_or_before();
  // Counters of licences must not go below these: the car has acted on them.
  void check_counters();

 private:
  void watch_commands();
  void step_until_idle(std::int64_t seconds);
  bool step_once();
  void violate(const std::string& what);
  void check_reports();
  void check_functions(const std::map<std::string, Bytes>& wanted);
  void forbid_marked_chunks();
  std::vector<std::string> tree();

  const UpdateKind* kind_;
  Ends ends_;
  std::map<std::string, std::uint64_t> licence_floors_;
  std::uint64_t release_floor_ = 0;
  int broken_marks_ = 0;
};

}  // namespace layby::tests
