#include "delta/borders.h"

#include <catch2/catch.hpp>

#include "delta/encoder.h"
#include "delta/mirror.h"
#include "delta/varint.h"
#include "tests/delta/mixed_pairs.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;

namespace {

using Path = std::vector<std::array<std::int64_t, 2>>;

Path random_path(Random& random, std::size_t steps) {
  Path path(steps);
  for (auto& step : path)
    for (auto& number : step) number = static_cast<std::int64_t>(random() % 4000) - 2000;
  return path;
}

Path backwards(const Path& path) {
  Path made(path.rbegin(), path.rend());
  for (auto& step : made)
    for (auto& number : step) number = -number;
  return made;
}

void append(Bytes& out, const Path& path) {
  for (const auto& step : path)
    for (const std::int64_t number : step) append_varint(out, zigzag(number));
}

std::uint64_t mirrored_bytes(const CopyList& copies) {
  std::uint64_t sum = 0;
  for (const Copy& copy : copies)
    if (copy.source == Copy::Source::kMirror) sum += copy.bytes;
  return sum;
}

// Areas side by side, each with its border to the one before.
MixedPair areas(std::uint64_t seed, std::size_t steps) {
  Random random(seed);
  MixedPair pair;
  Path border = random_path(random, steps);
  for (int i = 0; i < 6; ++i) {
    append(pair.target, backwards(border));
    border = random_path(random, steps);
    append(pair.target, random_path(random, 7));
    append(pair.target, border);
  }
  return pair;
}

// Chunk by chunk, as an encoder does it.
void add_borders(const Bytes& target, std::size_t chunk_bytes, CopyList& copies,
                 const std::stop_token& stop) {
  Borders borders(target, border_table_bytes(target.size()));
  CopyList all;
  auto next = copies.begin();
  for (std::size_t begin = 0; begin < target.size(); begin += chunk_bytes) {
    const std::size_t end = std::min(begin + chunk_bytes, target.size());
    CopyList of_chunk;
    for (; next != copies.end() && next->target_offset < end; ++next) of_chunk.push_back(*next);
    borders.add_to(begin, end, of_chunk, stop);
    all.insert(all.end(), of_chunk.begin(), of_chunk.end());
  }
  copies = all;
}

}  // namespace

TEST_CASE("a mirror turns steps round, in one piece or in many") {
  Random random(1);
  Path path = random_path(random, 3000);
  path[7] = {0, 0};
  path[8] = {63, -64};  // of other lengths when they are turned round
  path[9] = {std::int64_t{1} << 61, -(std::int64_t{1} << 61)};
  Bytes source, expected;
  append(source, path);
  append(expected, backwards(path));
  const auto read = [&](std::uint64_t from, MutableByteSpan into) -> Result<void> {
    std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from), into.size(), into.begin());
    return {};
  };
  for (const std::size_t piece : {std::size_t{1}, std::size_t{777}, std::size_t{100'000}}) {
    Mirror mirror(source.size(), read);
    Bytes made, buffer(piece);
    std::size_t bytes = 0;
    do {
      bytes = mirror.fill(buffer).value();
      made.insert(made.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(bytes));
    } while (bytes == piece);
    CHECK(made == expected);
    CHECK(mirror.begin() == 0);
  }
}

TEST_CASE("borders are found from their other side, and are made again from it") {
  MixedPair pair = areas(2, 800);
  add_borders(pair.target, kMiB, pair.copies, {});
  CHECK(mirrored_bytes(pair.copies) > pair.target.size() * 2 / 5);
  const auto chunks = encode_chunks(pair, kMiB);
  CHECK(chunks[0].size() < pair.target.size() * 6 / 10);
  CHECK(decode_chunks(pair, chunks, kMiB).value() == pair.target);
  CHECK(decode_chunks(pair, chunks, kMiB, true).value() == pair.target);
}

TEST_CASE("borders stay within chunks and leave copies alone") {
  MixedPair pair = areas(3, 800);
  const CopyList before = {{10, 0, 5}, {9000, 0, 200}, {9300, 0, 1}};
  pair.copies = before;
  const std::size_t step = 1000;
  add_borders(pair.target, step, pair.copies, {});
  CHECK(mirrored_bytes(pair.copies) > pair.target.size() / 3);
  std::uint64_t at = 0;
  CopyList others;
  for (const Copy& copy : pair.copies) {
    CHECK(copy.target_offset >= at);
    at = copy.target_offset + copy.bytes;
    if (copy.source != Copy::Source::kMirror) {
      others.push_back(copy);
      continue;
    }
    CHECK(copy.target_offset / step == (at - 1) / step);
    CHECK(copy.source_offset <= copy.target_offset);
  }
  REQUIRE(others.size() == before.size());
  for (std::size_t i = 0; i < others.size(); ++i)
    CHECK(others[i].target_offset == before[i].target_offset);
}

TEST_CASE("text has no borders, and a stopped search leaves what there was") {
  Random random(4);
  const Bytes text = prose(random, 100'000);
  CopyList copies = {{5, 0, 5}};
  add_borders(text, kMiB, copies, {});
  CHECK(copies.size() == 1);
  std::stop_source stop;
  stop.request_stop();
  const MixedPair pair = areas(5, 800);
  add_borders(pair.target, kMiB, copies, stop.get_token());
  CHECK(copies.size() == 1);
}

TEST_CASE("a payload of a map carries a new border once") {
  const MixedPair pair = areas(6, 4000);
  const MemoryFile base(Bytes(pair.target.begin(), pair.target.begin() + 3000));
  MemoryFile output;
  const auto made = encode(&base, MemoryFile(pair.target), {}, output);
  REQUIRE(made);
  CHECK(made->payload_bytes < pair.target.size() * 6 / 10);
}
