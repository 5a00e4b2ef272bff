// Copies of earlier target bytes, put among those of the base.
#include "delta/repeats.h"

#include <catch2/catch.hpp>

#include "tests/delta/memory_file.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;

namespace {

constexpr std::size_t kChunk = 4096;

// Chunk by chunk, as an encoder does it.
CopyList with_repeats(const Bytes& base, const Bytes& target, const CopyList& copies,
                      std::stop_token stop = {}) {
  const RepeatSource source{target, base, target, false};
  Repeats repeats(target, repeat_table_bytes(target.size()));
  CopyList all;
  auto next = copies.begin();
  for (std::size_t begin = 0; begin < target.size(); begin += kChunk) {
    const std::size_t end = std::min(begin + kChunk, target.size());
    CopyList of_chunk;
    for (; next != copies.end() && next->target_offset < end; ++next) of_chunk.push_back(*next);
    repeats.add_to(ChunkCosts(source, of_chunk, begin, end), of_chunk, stop);
    all.insert(all.end(), of_chunk.begin(), of_chunk.end());
  }
  return all;
}

std::uint64_t repeated_bytes(const CopyList& copies) {
  std::uint64_t sum = 0;
  for (const Copy& copy : copies)
    if (copy.source == Copy::Source::kTarget) sum += copy.bytes;
  return sum;
}

// In order, without overlap, none empty; repeats are exact, within a chunk, and end before they are
// read; copies of the base are parts of those that were there.
void check_list(const CopyList& copies, const CopyList& given, const Bytes& target) {
  std::uint64_t end = 0;
  for (const Copy& copy : copies) {
    CHECK(copy.bytes > 0);
    CHECK(copy.target_offset >= end);
    end = copy.target_offset + copy.bytes;
    REQUIRE(end <= target.size());
    if (copy.source == Copy::Source::kTarget) {
      CHECK(copy.target_offset / kChunk == (end - 1) / kChunk);
      REQUIRE(copy.source_offset + copy.bytes <= copy.target_offset);
      CHECK(
          std::equal(target.begin() + static_cast<std::ptrdiff_t>(copy.source_offset),
                     target.begin() + static_cast<std::ptrdiff_t>(copy.source_offset + copy.bytes),
                     target.begin() + static_cast<std::ptrdiff_t>(copy.target_offset)));
      continue;
    }
    CHECK(std::any_of(given.begin(), given.end(), [&](const Copy& of) {
      return copy.target_offset >= of.target_offset && end <= of.target_offset + of.bytes &&
             copy.source_offset - copy.target_offset == of.source_offset - of.target_offset;
    }));
  }
  // What was covered still is.
  std::vector<bool> covered(target.size(), false);
  for (const Copy& copy : copies)
    for (std::uint64_t i = 0; i < copy.bytes; ++i) covered[copy.target_offset + i] = true;
  std::uint64_t lost = 0;
  for (const Copy& copy : given)
    for (std::uint64_t i = 0; i < copy.bytes; ++i) lost += !covered[copy.target_offset + i];
  CHECK(lost == 0);
}

}  // namespace

TEST_CASE("new bytes that repeat are found") {
  Random random(1);
  Bytes target = noise(random, 3000);
  target.insert(target.end(), target.begin() + 100, target.begin() + 900);
  const CopyList copies = with_repeats({}, target, {});
  check_list(copies, {}, target);
  CHECK(repeated_bytes(copies) == 800);
  REQUIRE(copies.size() == 1);
  CHECK(copies[0].source_offset == 100);
  CHECK(with_repeats({}, noise(random, 20'000), {}).empty());
}

TEST_CASE("repeats stop at the bounds of chunks, and a run of one byte does not read itself") {
  Random random(2);
  Bytes target = noise(random, 4000);
  target.insert(target.end(), target.begin(), target.begin() + 3000);
  CopyList copies = with_repeats({}, target, {});
  check_list(copies, {}, target);
  CHECK(repeated_bytes(copies) == 3000);
  CHECK(copies.size() == 2);  // 4000 to 4096, and from there on
  const Bytes zeros(50'000, 0);
  copies = with_repeats({}, zeros, {});
  check_list(copies, {}, zeros);
  CHECK(repeated_bytes(copies) > 45'000);
}

TEST_CASE("a repeat takes the place of a copy that is full of differences, not of a good one") {
  Random random(3);
  const Bytes base = noise(random, 4000);
  Bytes target = noise(random, 1000);
  target.insert(target.end(), base.begin() + 1000, base.begin() + 4000);
  const CopyList good{{1000, 1000, 3000}};
  CHECK(repeated_bytes(with_repeats(base, target, good)) == 0);
  // 500 bytes in the middle of it are what stood at the beginning.
  std::copy_n(target.begin() + 200, 500, target.begin() + 2000);
  const CopyList copies = with_repeats(base, target, good);
  check_list(copies, good, target);
  CHECK(repeated_bytes(copies) >= 490);
  CHECK(copies.size() == 3);
}

TEST_CASE("whatever the copies are, repeats leave a list in order that covers what it did") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    const Bytes base = prose(random, 1 + random() % 30'000);
    Bytes target = later_version(random, base, static_cast<int>(random() % 100));
    for (int i = 0; i < 10; ++i) {
      const auto from = static_cast<std::ptrdiff_t>(random() % target.size());
      const Bytes piece(
          target.begin() + from,
          target.begin() +
              std::min<std::ptrdiff_t>(from + 2000, static_cast<std::ptrdiff_t>(target.size())));
      target.insert(target.end(), piece.begin(), piece.end());
    }
    CopyList given;
    for (std::uint64_t at = 0; at < target.size();) {
      at += random() % 3 * (random() % 300);
      Copy copy{at, 0, 1 + random() % 600};
      if (at >= target.size()) break;
      copy.bytes = std::min(
          {copy.bytes, target.size() - at, kChunk - at % kChunk, std::uint64_t{base.size()}});
      copy.source_offset = random() % (base.size() - copy.bytes + 1);
      if (at + copy.bytes <= base.size() && random() % 2 == 0) copy.source_offset = at;
      given.push_back(copy);
      at += copy.bytes;
    }
    const CopyList copies = with_repeats(base, target, given);
    check_list(copies, given, target);
    for (const Copy& copy : copies)
      CHECK(copy.target_offset / kChunk == (copy.target_offset + copy.bytes - 1) / kChunk);
  }
}

TEST_CASE("the search for repeats can be stopped") {
  Random random(4);
  const Bytes target(100'000, 'a');
  std::stop_source source;
  source.request_stop();
  CHECK(with_repeats({}, target, {}, source.get_token()).empty());
}
