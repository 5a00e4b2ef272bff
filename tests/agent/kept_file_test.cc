#include "agent/kept_file.h"

#include <catch2/catch.hpp>

#include "agent/journal.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

TEST_CASE("either of a kept file and its copy serves, and the damaged one is noticed") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/d"));
  CHECK(read_kept(disk, "/d/f", 10).error().code() == ErrorCode::kNotFound);
  REQUIRE(write_kept(disk, "/d/f", as_bytes("right")));
  REQUIRE(replace_file(disk, "/d/f", as_bytes("wrong")));
  CHECK(as_text(read_kept(disk, "/d/f", 10).value()) == "right");
  REQUIRE(write_kept(disk, "/d/f", as_bytes("right")));
  Bytes copy = read_file(disk, "/d/f.copy", 100).value();
  copy[copy.size() - 1] ^= 1;
  REQUIRE(replace_file(disk, "/d/f.copy", copy));
  CHECK(as_text(read_kept(disk, "/d/f", 10).value()) == "right");
  REQUIRE(disk.remove("/d/f.copy"));
  CHECK(as_text(read_kept(disk, "/d/f", 10).value()) == "right");
}

TEST_CASE("power may fail at any operation of keeping a file (P4.7)") {
  for (std::uint64_t k = 1; k <= 10; ++k)
    for (std::uint32_t seed = 0; seed < 8; ++seed) {
      MemoryDisk disk;
      REQUIRE(disk.make_dirs("/d"));
      REQUIRE(write_kept(disk, "/d/f", as_bytes("old")));
      disk.cut_power_at(disk.operations() + k);
      try {
        const bool kept = write_kept(disk, "/d/f", as_bytes("newer")).has_value();
        CHECK(kept);
      } catch (const PowerCut&) {
      }
      disk.restart(MemoryDisk::Survives::kPerhaps, seed);
      const std::string text(as_text(read_kept(disk, "/d/f", 10).value()));
      CHECK((text == "old" || text == "newer"));
    }
}

TEST_CASE("a journal that is lost with its copy is a clear error, and nothing is started") {
  World world;
  world.run(60);
  world.agent.reset();
  for (const char* name : {"/car/journal.0", "/car/journal.1", "/car/journal.kept"})
    REQUIRE(replace_file(world.disk, name, as_bytes("rubbish")));
  const auto opened =
      Agent::open(world.disk, world.clock, world.server, world.vehicle, world.options);
  REQUIRE(!opened);
  CHECK(opened.error().code() == ErrorCode::kCorrupt);
  CHECK(opened.error().message().find("a partner has to") != std::string::npos);
}
