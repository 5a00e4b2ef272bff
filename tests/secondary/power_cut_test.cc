// A secondary whose power goes at every operation of its disk: it comes back with a whole image, a
// counter that no report had before, and goes on to the end.
#include <catch2/catch.hpp>

#include "base/assert.h"
#include "tests/secondary/carrier.h"

using namespace layby;
using namespace layby::tests;
using secondary::MessageType;
using secondary::Verification;

namespace {

// The whole way; `counter` is the last that a report had.
void walk(EcuWorld& world, std::uint64_t& counter) {
  LAYBY_ASSERT(world.carry_news().has_value());
  counter = world.report().counter;
  LAYBY_ASSERT(world.install(world.new_image).has_value());
  counter = world.report().counter;
}

// True when the power went before the end.
bool walk_with_cut(EcuWorld& world, std::uint64_t cut_at, std::uint64_t& counter) {
  world.disk.cut_power_at(cut_at);
  try {
    walk(world, counter);
  } catch (const PowerCut&) {
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE("P4.7: after a power cut at any operation a secondary has the old image or the new") {
  for (const auto survives : {MemoryDisk::Survives::kEverything, MemoryDisk::Survives::kOnlySynced,
                              MemoryDisk::Survives::kPerhaps}) {
    for (std::uint64_t step = 1;; ++step) {
      EcuWorld world(step % 2 == 0 ? Verification::kFull : Verification::kPartial);
      world.order(2, world.new_image, 2);
      std::uint64_t counter = 0;
      const std::uint64_t before = world.disk.operations();
      const bool was_cut = walk_with_cut(world, before + step, counter);
      world.ecu.reset();
      world.disk.restart(survives, static_cast<std::uint32_t>(step));
      world.start();
      INFO("operation " << step);
      const std::string running = world.running_bytes();
      REQUIRE((running == "old" || running == "new"));
      REQUIRE(world.running_bytes() == world.kept_bytes());
      REQUIRE(world.report().counter > counter);
      REQUIRE(world.ecu->state().attack.empty());
      walk(world, counter);
      REQUIRE(world.kept_bytes() == "new");
      if (!was_cut) break;
    }
  }
}
