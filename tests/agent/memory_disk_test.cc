// The power cuts of the other tests are only as good as this disk.
#include "tests/agent/memory_disk.h"

#include <catch2/catch.hpp>

using namespace layby;
using namespace layby::tests;
using Survives = MemoryDisk::Survives;

TEST_CASE("what was not synced is lost, what was replaced is whole") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/d"));
  REQUIRE(replace_file(disk, "/d/f", as_bytes("old")));
  const auto file = disk.open_write("/d/f").value();
  REQUIRE(file->write_at(0, as_bytes("new!")));
  disk.restart(Survives::kOnlySynced, 0);
  CHECK(as_text(read_file(disk, "/d/f", 10).value()) == "old");
  REQUIRE(replace_file(disk, "/d/f", as_bytes("newer")));
  disk.restart(Survives::kOnlySynced, 0);
  CHECK(as_text(read_file(disk, "/d/f", 10).value()) == "newer");
}

TEST_CASE("a name is lost if its directory was not synced") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/d"));
  const auto file = disk.open_write("/d/f").value();
  REQUIRE(file->sync());
  disk.restart(Survives::kOnlySynced, 0);
  CHECK(!disk.status("/d/f"));
}

TEST_CASE("links lead where the real ones lead") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/car/maps/sets/1"));
  REQUIRE(disk.make_dirs("/car/maps/regions/DE-1"));
  REQUIRE(replace_file(disk, "/car/maps/regions/DE-1/f", as_bytes("x")));
  REQUIRE(disk.symlink("../../../maps/regions/DE-1", "/car/maps/sets/1/DE"));
  REQUIRE(disk.symlink("sets/1", "/car/maps/current"));
  CHECK(as_text(read_file(disk, "/car/maps/current/DE/f", 10).value()) == "x");
  CHECK(disk.status("/car/maps/current")->kind == FileStatus::Kind::kSymlink);
}

TEST_CASE("the power goes at the operation it is told") {
  MemoryDisk disk;
  disk.cut_power_at(disk.operations() + 2);
  REQUIRE(disk.open_write("/a"));
  CHECK_THROWS_AS(disk.open_write("/b"), PowerCut);
  CHECK_THROWS_AS(disk.symlink("a", "/c"), PowerCut);
  disk.restart(Survives::kEverything, 0);
  CHECK(disk.status("/a"));
  CHECK(!disk.status("/b"));
  CHECK(disk.open_write("/b"));
}
