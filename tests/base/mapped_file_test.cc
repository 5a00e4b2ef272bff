#include "base/mapped_file.h"

#include <catch2/catch.hpp>

#include "tests/temp_dir.h"

using namespace layby;
using layby::tests::TempDir;

TEST_CASE("a mapped file is read like any other, and errors are those of opening one") {
  const TempDir dir;
  RealDisk disk;
  const Bytes bytes{1, 2, 3, 4, 5};
  REQUIRE(replace_file(disk, dir / "file", bytes));
  REQUIRE(replace_file(disk, dir / "empty", {}));
  const auto file = MappedFile::open(dir / "file").value();
  CHECK(file->size() == 5);
  Bytes out(3);
  REQUIRE(file->read_at(2, out));
  CHECK(out == Bytes{3, 4, 5});
  CHECK(file->read_at(3, out).error().code() == ErrorCode::kIo);
  CHECK(file->read_at(~std::uint64_t{0}, out).error().code() == ErrorCode::kIo);
  CHECK(mapped_bytes(*file)->size() == 5);
  CHECK_FALSE(mapped_bytes(*disk.open_read(dir / "file").value()));
  CHECK(MappedFile::open(dir / "empty").value()->size() == 0);
  CHECK(MappedFile::open(dir / "none").error().code() == ErrorCode::kNotFound);
  CHECK(MappedFile::open(dir.path()).error().code() == ErrorCode::kIo);
}

TEST_CASE("an expanse is zero at first, on the heap or in a file, moves, and leaves no name") {
  const TempDir dir;
  for (const auto where : {Expanse::Where::kHeap, Expanse::Where::kFile}) {
    Expanse expanse = Expanse::create(100'000, {where, dir.path()}).value();
    REQUIRE(expanse.bytes().size() == 100'000);
    CHECK(expanse.is_file() == (where == Expanse::Where::kFile));
    CHECK(expanse.bytes()[99'999] == 0);
    expanse.bytes()[5] = 7;
    const std::uint8_t* const at = expanse.bytes().data();
    Expanse moved = std::move(expanse);
    CHECK(moved.bytes().data() == at);
    CHECK(moved.bytes()[5] == 7);
    Expanse assigned;
    assigned = std::move(moved);
    CHECK(assigned.bytes()[5] == 7);
    CHECK(RealDisk().list(dir.path()).value().empty());
  }
  CHECK(Expanse::create(0, {Expanse::Where::kFile, dir / "none"}).value().bytes().empty());
  CHECK(Expanse::create(1, {Expanse::Where::kFile, dir / "none"}).error().code() ==
        ErrorCode::kNotFound);
}
