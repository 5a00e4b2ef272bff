// The Store seam: one ordered, transactional key space.
//
// Keys and values are byte strings; keys sort as bytes. Implementations: RocksDB (rocksdb_store.h);
// a second one speaks PostgreSQL's protocol. All pass the same test suite. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace layby::server {

struct KeyValue {
  std::string key;
  std::string value;
};

// What was read, as the commit must still find it: the value, or nothing there.
struct Expectation {
  std::string key;
  std::optional<std::string> value;
};

struct Write {
  std::string key;
  std::optional<std::string> value;  // none: delete
};

struct Batch {
  std::vector<Expectation> expectations;
  std::vector<Write> writes;
};

// begin <= key < end.
struct KeyRange {
  std::string begin;
  std::string end;
};

class Store {
 public:
  virtual ~Store() = default;

  // The value, or nothing. kIo or kCorrupt where the store fails.
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;

  // Up to `limit` pairs with begin <= key < end, in order, as of one moment.
  virtual Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end,
                                             std::size_t limit) const = 0;

  // All writes, durably, or none. kConflict if an expectation does not hold at that moment: read
  // again and retry.
  virtual Result<void> commit(const Batch& batch) = 0;

  // For what the law wants gone: when it returns, no value that was erased or replaced in these
  // ranges before the call is left in the store's files, logs included. Slow, and slower the more
  // lies in the ranges; others go on reading and writing meanwhile. Keys may remain in lists that
  // the store keeps of its files, so they must never hold what has to be erased.
  virtual Result<void> purge(const std::vector<KeyRange>& ranges) = 0;
};

// The smallest key above all keys that begin with `prefix`; for scans of a prefix. `prefix` is not
// all 0xff.
std::string after_prefix(std::string_view prefix);

}  // namespace layby::server
