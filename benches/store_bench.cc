// Durable commits through the Store against bare synced writes of RocksDB, in the same run on the
// same disk. Where: $TMPDIR (a directory in memory makes syncs free: the numbers then mean little).
#include <benchmark/benchmark.h>
#include <rocksdb/db.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "server/store/change.h"
#include "server/store/rocksdb_store.h"

namespace {

using namespace layby;

constexpr std::size_t kValueBytes = 400;  // an order as JSON

std::string fresh_directory(const char* name) {
  const auto path = std::filesystem::temp_directory_path() / ("layby-bench-" + std::string(name));
  std::filesystem::remove_all(path);
  return path.string();
}

// Opened once: Google Benchmark enters a function once per thread.
rocksdb::DB& bare() {
  static const std::unique_ptr<rocksdb::DB> db = [] {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* opened = nullptr;
    if (!rocksdb::DB::Open(options, fresh_directory("rocksdb"), &opened).ok()) std::abort();
    return std::unique_ptr<rocksdb::DB>(opened);
  }();
  return *db;
}

server::Store& store() {
  static const std::unique_ptr<server::RocksDbStore> opened = [] {
    auto result = server::RocksDbStore::open(fresh_directory("store"));
    if (!result) std::abort();
    return std::move(*result);
  }();
  return *opened;
}

std::atomic<std::uint64_t> next_number{0};

std::string fresh_key() {
  return "v/WVWZZZ1JZXW000017/order/" + std::to_string(next_number++);
}

void bare_rocksdb_synced_put(benchmark::State& state) {
  const std::string value(kValueBytes, 'x');
  rocksdb::WriteOptions synced;
  synced.sync = true;
  for (auto _ : state)
    if (!bare().Put(synced, fresh_key(), value).ok()) state.SkipWithError("put failed");
  state.SetItemsProcessed(state.iterations());
}

// The same write, with the expectation that nothing is there yet.
void store_commit(benchmark::State& state) {
  const std::string value(kValueBytes, 'x');
  for (auto _ : state) {
    const std::string key = fresh_key();
    if (!store().commit({{{key, std::nullopt}}, {{key, value}}})) state.SkipWithError("commit");
  }
  state.SetItemsProcessed(state.iterations());
}

// Placing an order: reads a car, writes the order, a lookup, a deadline, audit and event.
void store_change_of_six_keys(benchmark::State& state) {
  const std::string value(kValueBytes, 'x');
  for (auto _ : state) {
    const std::string key = fresh_key();
    const auto placed =
        server::commit_with_retry(store(), [&](server::Change& change) -> Result<void> {
          TRY(change.get("v/WVWZZZ1JZXW000017/car"));
          TRY(change.get(key));
          for (const char* part : {"", "/lookup", "/deadline", "/audit", "/event"})
            change.put(key + part, value);
          return {};
        });
    if (!placed) state.SkipWithError("change");
  }
  state.SetItemsProcessed(state.iterations());
}

// All threads on one key: each commit waits for the one before it.
void store_contended_increment(benchmark::State& state) {
  for (auto _ : state) {
    const auto counted =
        server::commit_with_retry(store(), [&](server::Change& change) -> Result<void> {
          const auto before = TRY(change.get("counter"));
          change.put("counter", std::to_string(std::stoull(before.value_or("0")) + 1));
          return {};
        });
    if (!counted) state.SkipWithError("increment");
  }
  state.SetItemsProcessed(state.iterations());
}

// What a poll costs the store.
void store_point_read(benchmark::State& state) {
  const std::string key = "v/WVWZZZ1JZXW000017/director/timestamp";
  if (!store().commit({{}, {{key, std::string(2000, 'x')}}})) state.SkipWithError("commit");
  for (auto _ : state) benchmark::DoNotOptimize(store().get(key));
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(bare_rocksdb_synced_put)->Threads(1)->Threads(8)->Threads(32)->UseRealTime();
BENCHMARK(store_commit)->Threads(1)->Threads(8)->Threads(32)->UseRealTime();
BENCHMARK(store_change_of_six_keys)->Threads(1)->Threads(8)->Threads(32)->UseRealTime();
BENCHMARK(store_contended_increment)->Threads(1)->Threads(8)->UseRealTime();
BENCHMARK(store_point_read)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
