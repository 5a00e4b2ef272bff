// A key file: the first byte says whether the rest is a file, or what becomes of a good one (pairs
// of a place and what is flipped there). Only the file as it was written gives the key.
#include "base/assert.h"
#include "crypto/key_file.h"
#include "tests/agent/memory_disk.h"

using namespace layby;
using namespace layby::crypto;

namespace {

constexpr const char* kPath = "/keys/online.key";
constexpr const char* kPassphrase = "correct horse";
constexpr std::size_t kCostAt = 9;

struct World {
  Ed25519Seed seed = {1, 2, 3};
  Bytes file;

  World() {
    tests::MemoryDisk disk;
    LAYBY_ASSERT(disk.make_dirs("/keys"));
    LAYBY_ASSERT(write_key_file(disk, kPath, *MemorySigner::from_seed(seed), kPassphrase,
                                KeyFileCost::kInteractive));
    file = *read_file(disk, kPath, 1024);
  }
};

Bytes altered(Bytes file, ByteSpan changes) {
  for (std::size_t i = 0; i + 1 < changes.size(); i += 2)
    file[changes[i] % file.size()] ^= changes[i + 1];
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const ByteSpan rest{data + 1, size - 1};
  const Bytes file = data[0] == 0 ? Bytes(rest.begin(), rest.end()) : altered(world.file, rest);
  // To open an offline key takes a gigabyte and seconds, as it is meant to.
  if (file.size() == world.file.size() &&
      file[kCostAt] == static_cast<std::uint8_t>(KeyFileCost::kSensitive))
    return 0;
  tests::MemoryDisk disk;
  LAYBY_ASSERT(disk.make_dirs("/keys") && replace_file(disk, kPath, file));
  const auto key = read_key_file(disk, kPath, kPassphrase);
  LAYBY_ASSERT(key.has_value() == (file == world.file));
  if (key) LAYBY_ASSERT((*key)->seed() == world.seed);
  LAYBY_ASSERT(*read_file(disk, kPath, size + 1024) == file);
  return 0;
}
