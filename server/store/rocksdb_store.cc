#include "server/store/rocksdb_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string_view>

#include "base/limits.h"

namespace layby::server {
namespace {

// Locks by hash of the key. Many, so that two cars seldom share one; they cost 56 bytes each.
constexpr std::size_t kStripes = 8192;
constexpr std::size_t kBlockCacheBytes = 64 * kMiB;
constexpr std::size_t kWalBytesMax = 256 * kMiB;

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

tl::unexpected<Error> fail_rocksdb(const rocksdb::Status& status, std::string_view doing) {
  if (status.IsCorruption())
    return fail(ErrorCode::kCorrupt, "store: {}: {}", doing, status.ToString());
  if (status.IsNoSpace())
    return fail(ErrorCode::kDiskFull, "store: {}: {}", doing, status.ToString());
  return fail(ErrorCode::kIo, "store: {}: {}", doing, status.ToString());
}

rocksdb::Options store_options() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  // An unfinished record at the end of the log was never acknowledged; damage anywhere before it
  // must not pass as the end of the log.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.max_total_wal_size = kWalBytesMax;
  options.keep_log_file_num = 4;
  options.max_log_file_size = 16 * kMiB;
  options.max_open_files = 512;
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

struct RocksDbStore::State {
  std::unique_ptr<rocksdb::DB> db;
  std::array<std::shared_mutex, kStripes> stripes;
};

namespace {

// Holds the stripes of all keys of a batch: shared for those that are only expected, exclusive for
// those that are written. Always taken in ascending order, so that no two commits wait in a ring.
class StripeLocks {
 public:
  StripeLocks(std::array<std::shared_mutex, kStripes>& stripes, const Batch& batch) {
    const std::hash<std::string_view> hash;
    std::map<std::size_t, Mode> wanted;
    for (const Expectation& expected : batch.expectations)
      wanted.try_emplace(hash(expected.key) % kStripes, Mode::kShared);
    for (const Write& write : batch.writes)
      wanted.insert_or_assign(hash(write.key) % kStripes, Mode::kExclusive);
    for (const auto& [stripe, mode] : wanted) {
      switch (mode) {
        case Mode::kShared: shared_.emplace_back(stripes[stripe]); break;
        case Mode::kExclusive: exclusive_.emplace_back(stripes[stripe]); break;
      }
    }
  }

 private:
  enum class Mode { kShared, kExclusive };
  std::vector<std::shared_lock<std::shared_mutex>> shared_;
  std::vector<std::unique_lock<std::shared_mutex>> exclusive_;
};

}  // namespace

RocksDbStore::RocksDbStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
RocksDbStore::~RocksDbStore() = default;

Result<std::unique_ptr<RocksDbStore>> RocksDbStore::open(const std::string& directory) {
  auto state = std::make_unique<State>();
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(store_options(), directory, &db);
  if (!status.ok()) {
    const std::string text = status.ToString();
    if (status.IsIOError() && text.find("LOCK") != std::string::npos &&
        text.find("No such file") == std::string::npos)
      return fail(ErrorCode::kUnavailable,
                  "the store in {} is open in another process; stop that one first ({})", directory,
                  text);
    return fail_rocksdb(status, "opening " + directory);
  }
  state->db.reset(db);
  return std::unique_ptr<RocksDbStore>(new RocksDbStore(std::move(state)));
}

Result<std::optional<std::string>> RocksDbStore::get(std::string_view key) const {
  std::string value;
  const rocksdb::Status status = state_->db->Get(rocksdb::ReadOptions(), slice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return fail_rocksdb(status, "reading");
  return value;
}

Result<std::vector<KeyValue>> RocksDbStore::scan(std::string_view begin, std::string_view end,
                                                 std::size_t limit) const {
  std::vector<KeyValue> found;
  if (begin >= end || limit == 0) return found;
  const rocksdb::Slice upper = slice(end);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> at(state_->db->NewIterator(options));
  for (at->Seek(slice(begin)); at->Valid() && found.size() < limit; at->Next())
    found.push_back({at->key().ToString(), at->value().ToString()});
  if (!at->status().ok()) return fail_rocksdb(at->status(), "scanning");
  return found;
}

Result<void> RocksDbStore::commit(const Batch& batch) {
  rocksdb::WriteBatch writes;
  for (const Write& write : batch.writes) {
    const rocksdb::Status status = write.value ? writes.Put(slice(write.key), slice(*write.value))
                                               : writes.Delete(slice(write.key));
    if (!status.ok()) return fail_rocksdb(status, "collecting writes");
  }
  // Whoever writes a key holds its stripe until the write is readable: between the check and our
  // own write nobody can change what we expect.
  const StripeLocks locks(state_->stripes, batch);
  for (const Expectation& expected : batch.expectations) {
    if (TRY(get(expected.key)) != expected.value)
      return fail(ErrorCode::kConflict, "{} was changed meanwhile", expected.key);
  }
  if (batch.writes.empty()) return {};
  rocksdb::WriteOptions options;
  options.sync = true;
  const rocksdb::Status status = state_->db->Write(options, &writes);
  if (!status.ok()) return fail_rocksdb(status, "committing");
  return {};
}

Result<void> RocksDbStore::purge(const std::vector<KeyRange>& ranges) {
  // The log holds what the memtable holds, and goes with it.
  rocksdb::FlushOptions flush;
  flush.wait = true;
  if (const rocksdb::Status status = state_->db->Flush(flush); !status.ok())
    return fail_rocksdb(status, "flushing");
  // Down to the lowest level and rewritten there too: a tombstone alone leaves what it covers.
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  options.exclusive_manual_compaction = false;
  for (const KeyRange& range : ranges) {
    const rocksdb::Slice begin = slice(range.begin);
    const rocksdb::Slice end = slice(range.end);
    const rocksdb::Status status = state_->db->CompactRange(options, &begin, &end);
    if (!status.ok()) return fail_rocksdb(status, "compacting");
  }
  // Off and on again deletes files that nobody needs now instead of some time later.
  for (const rocksdb::Status& status :
       {state_->db->DisableFileDeletions(), state_->db->EnableFileDeletions(true)})
    if (!status.ok()) return fail_rocksdb(status, "deleting old files");
  return {};
}

}  // namespace layby::server
