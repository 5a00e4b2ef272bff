// A ratchet: the smallest payloads may become smaller, never larger. Whoever makes them smaller
// lowers the bounds, which are half a percent above what was measured.
#include <catch2/catch.hpp>

#include "base/limits.h"
#include "delta/encoder.h"
#include "tests/delta/mixed_pairs.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;

namespace {

Bytes fixture(const std::string& name) {
  RealDisk disk;
  return read_file(disk, LAYBY_FIXTURES_DIR "/delta/" + name, kMiB).value();
}

// Of the payload's chunks: digests and sizes in the head do not change with the coder.
std::uint64_t chunk_bytes(const Bytes* base, const Bytes& target) {
  const MemoryFile base_file(base != nullptr ? *base : Bytes{});
  MemoryFile output;
  const auto made = encode(base != nullptr ? &base_file : nullptr, MemoryFile(target), {}, output);
  REQUIRE(made);
  return made->payload_bytes - made->head_bytes;
}

}  // namespace

TEST_CASE("payloads of generated pairs and of pieces of real ones stay as small as they were") {
  struct Case {
    const char* what;
    Bytes base;
    Bytes target;
    std::uint64_t delta_bytes_max;
    std::uint64_t full_bytes_max;
  };
  Random random(1);
  const MixedPair program = moved_program(random, 1500, 9);
  const Bytes text = prose(random, 200'000);
  const Bytes edited = later_version(random, text, 100);
  Bytes table(160'000);
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<std::uint8_t>(i % 16 < 4 ? (i / 16) >> 8 * (i % 4) : i % 16 * 7);
  Bytes counted = table;
  for (std::size_t i = 5; i < counted.size(); i += 16) counted[i] ^= i % 64 == 5 ? 3 : 0;
  const Case cases[] = {
      {"executable", fixture("node.old"), fixture("node.new"), 518, 31'509},
      {"map database", fixture("map-sqlite.old"), fixture("map-sqlite.new"), 18'075, 59'723},
      {"squashfs", fixture("squashfs-gzip.old"), fixture("squashfs-gzip.new"), 10'641, 578'850},
      {"moved code", program.base, program.target, 1624, 92'139},
      {"text", text, edited, 449, 39'442},
      {"records", table, counted, 30, 10'496},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    CHECK(chunk_bytes(&c.base, c.target) <= c.delta_bytes_max);
    CHECK(chunk_bytes(nullptr, c.target) <= c.full_bytes_max);
  }
}

TEST_CASE("code that only moved costs as little as it did") {
  Random random(2);
  const MixedPair program = moved_program(random, 3000, 9);
  std::uint64_t sum = 0;
  for (const Bytes& chunk : encode_chunks(program, kMiB)) sum += chunk.size();
  CHECK(sum <= 2110);
}
