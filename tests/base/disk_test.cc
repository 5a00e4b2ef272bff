#include "base/disk.h"

#include <catch2/catch.hpp>
#include <optional>

#include "tests/temp_dir.h"

using namespace layby;

namespace {

template <typename T>
std::optional<ErrorCode> code_of(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code();
}

}  // namespace

TEST_CASE("a replaced file has the new bytes and leaves nothing beside it") {
  const tests::TempDir dir;
  RealDisk disk;
  const std::string path = dir / "state";
  REQUIRE(replace_file(disk, path, as_bytes("first, and longer")));
  REQUIRE(replace_file(disk, path, as_bytes("second")));
  CHECK(as_text(read_file(disk, path, 100).value()) == "second");
  CHECK(disk.list(dir.path()).value() == std::vector<std::string>{"state"});
}

TEST_CASE("limits and absence are told apart") {
  const tests::TempDir dir;
  RealDisk disk;
  REQUIRE(replace_file(disk, dir / "f", as_bytes("12345")));
  CHECK(read_file(disk, dir / "f", 4).error().code() == ErrorCode::kTooLarge);
  CHECK(read_file(disk, dir / "none", 4).error().code() == ErrorCode::kNotFound);
  const auto file = disk.open_read(dir / "f").value();
  Bytes out(3);
  CHECK(file->read_at(3, out).error().code() == ErrorCode::kIo);
  CHECK(file->read_at(~0ull, out).error().code() == ErrorCode::kIo);
  CHECK(file->read_at(2, out).has_value());
  CHECK(as_text(out) == "345");
}

TEST_CASE("a tree is removed without following links out of it") {
  const tests::TempDir dir;
  RealDisk disk;
  REQUIRE(disk.make_dirs(dir / "tree/a/b"));
  REQUIRE(disk.make_dirs(dir / "outside"));
  REQUIRE(replace_file(disk, dir / "outside/keep", as_bytes("x")));
  REQUIRE(disk.symlink(dir / "outside", dir / "tree/a/link"));
  REQUIRE(disk.remove_tree(dir / "tree"));
  CHECK(disk.status(dir / "tree").error().code() == ErrorCode::kNotFound);
  CHECK(disk.status(dir / "outside/keep").has_value());
  CHECK(disk.remove_tree(dir / "tree").has_value());
}

TEST_CASE("reserved room changes no size, and what is not there is refused") {
  const tests::TempDir dir;
  RealDisk disk;
  const auto file = disk.open_write(dir / "f").value();
  REQUIRE(file->write_at(0, as_bytes("12345")));
  const auto reserved = file->reserve(1 << 20);
  if (code_of(reserved) == ErrorCode::kUnsupported) return;  // a file system without it
  REQUIRE(reserved);
  CHECK(file->size() == 5);
  CHECK(disk.status(dir / "f")->size == 5);
  CHECK(code_of(file->reserve(1ull << 60)).has_value());
  CHECK(as_text(read_file(disk, dir / "f", 100).value()) == "12345");
}

TEST_CASE("a directory is no file, and a file no directory") {
  const tests::TempDir dir;
  RealDisk disk;
  REQUIRE(replace_file(disk, dir / "f", as_bytes("x")));
  CHECK(code_of(disk.open_read(dir.path())) == ErrorCode::kIo);
  CHECK(code_of(disk.open_write(dir.path())) == ErrorCode::kIo);
  CHECK(code_of(read_file(disk, dir.path(), ~0ull)) == ErrorCode::kIo);
  CHECK(code_of(disk.make_dirs(dir / "f")) == ErrorCode::kIo);
  CHECK(code_of(disk.make_dirs(dir / "f/g")) == ErrorCode::kIo);
  CHECK(disk.make_dirs(dir / "a/b/").has_value());
  CHECK(disk.make_dirs(dir / "a/b").has_value());
}

TEST_CASE("a replacement that fails leaves the old bytes and nothing beside them") {
  const tests::TempDir dir;
  RealDisk disk;
  REQUIRE(disk.make_dirs(dir / "occupied/by"));
  CHECK_FALSE(replace_file(disk, dir / "occupied", as_bytes("x")).has_value());
  CHECK(disk.list(dir.path()).value() == std::vector<std::string>{"occupied"});
}
