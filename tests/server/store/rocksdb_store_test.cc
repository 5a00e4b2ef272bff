#include "server/store/rocksdb_store.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/server/store_suite.h"
#include "tests/temp_dir.h"

using namespace layby;
using server::RocksDbStore;

namespace {

tests::StoreFactory factory(const tests::TempDir& dir) {
  return [path = dir / "store"]() -> std::unique_ptr<server::Store> {
    auto store = RocksDbStore::open(path);
    if (!store) FAIL(store.error().message());
    return std::move(*store);
  };
}

}  // namespace

// First, because it forks: RocksDB's background threads are not in the child.
TEST_CASE("rocksdb: a SIGKILL at any moment loses nothing that was acknowledged") {
  const tests::TempDir dir;
  tests::check_kill_keeps_what_was_acknowledged(factory(dir), 8);
}

TEST_CASE("rocksdb: another process is told that the store is taken") {
  const tests::TempDir dir;
  int ready[2];
  int done[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(done) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(done[1]);
    const auto store = RocksDbStore::open(dir / "store");
    char byte = store ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) _exit(1);
    if (::read(done[0], &byte, 1) < 0) _exit(1);
    _exit(0);
  }
  ::close(done[0]);
  ::close(ready[1]);  // so that a child that dies is noticed and not waited for
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  REQUIRE(byte == 'y');
  const auto second = RocksDbStore::open(dir / "store");
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == ErrorCode::kUnavailable);
  CHECK_THAT(second.error().message(), Catch::Contains("open in another process"));
  ::close(done[1]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  ::close(ready[0]);
}

TEST_CASE("rocksdb: reads and writes") {
  const tests::TempDir dir;
  tests::check_reads_and_writes(factory(dir));
}
TEST_CASE("rocksdb: expectations") {
  const tests::TempDir dir;
  tests::check_expectations(factory(dir));
}
TEST_CASE("rocksdb: scans") {
  const tests::TempDir dir;
  tests::check_scans(factory(dir));
}
TEST_CASE("rocksdb: concurrent increments lose nothing") {
  const tests::TempDir dir;
  tests::check_concurrent_increments(factory(dir));
}
TEST_CASE("rocksdb: a commit is seen whole or not at all") {
  const tests::TempDir dir;
  tests::check_commits_are_seen_whole(factory(dir));
}
TEST_CASE("rocksdb: reopening") {
  const tests::TempDir dir;
  tests::check_reopening(factory(dir));
}

TEST_CASE("rocksdb: a damaged log is an error, not the end of the log") {
  const tests::TempDir dir;
  {
    auto store = RocksDbStore::open(dir / "store");
    REQUIRE(store);
    for (int i = 0; i < 50; ++i)
      REQUIRE((*store)->commit({{}, {{"k" + std::to_string(i), std::string(500, 'v')}}}));
  }
  bool damaged = false;
  for (const auto& entry : std::filesystem::directory_iterator(dir / "store")) {
    if (entry.path().extension() != ".log" || std::filesystem::file_size(entry) < 20'000) continue;
    std::fstream log(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    log.seekp(10'000);
    log.put('!');
    damaged = true;
  }
  REQUIRE(damaged);
  const auto reopened = RocksDbStore::open(dir / "store");
  REQUIRE_FALSE(reopened);
  CHECK(reopened.error().code() == ErrorCode::kCorrupt);
}

TEST_CASE("rocksdb: what was erased is gone from the files after a purge") {
  const tests::TempDir dir;
  tests::check_purge(factory(dir), [&] {
    std::string all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "store")) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(file), {});
    }
    return all;
  });
}
