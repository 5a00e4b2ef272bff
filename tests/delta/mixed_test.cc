// CoderId::kMixed: what is written is read again, whatever the copies are.
#include <catch2/catch.hpp>

#include "base/limits.h"
#include "crypto/digest.h"
#include "delta/applier.h"
#include "delta/elf_ranges.h"
#include "delta/encoder.h"
#include "tests/delta/mixed_pairs.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;

namespace {

// Bytes of all chunks together.
std::size_t check_round_trip(const MixedPair& pair, std::size_t chunk_bytes) {
  INFO("chunks of " << chunk_bytes);
  const auto chunks = encode_chunks(pair, chunk_bytes);
  const auto made = decode_chunks(pair, chunks, chunk_bytes);
  INFO((made ? std::string() : made.error().message()));
  REQUIRE(made);
  CHECK(*made == pair.target);
  std::size_t sum = 0;
  for (const Bytes& chunk : chunks) sum += chunk.size();
  return sum;
}

// Copies anywhere in base and target, and a target that is mostly what they say.
MixedPair random_copies(Random& random) {
  MixedPair pair;
  pair.base = random() % 5 == 0 ? Bytes{} : prose(random, 1 + random() % 40'000);
  const std::size_t size = 1 + random() % 60'000;
  while (pair.target.size() < size) {
    const std::uint64_t at = pair.target.size();
    Copy copy{at, 0, random() % 4 == 0 ? 1 : 1 + random() % 5'000,
              random() % 3 == 0 ? Copy::Source::kTarget : Copy::Source::kBase};
    const Bytes& source = copy.source == Copy::Source::kBase ? pair.base : pair.target;
    if (random() % 4 == 0 || source.empty()) {
      const Bytes fresh = prose(random, 1 + random() % 300);
      pair.target.insert(pair.target.end(), fresh.begin(), fresh.end());
      continue;
    }
    copy.bytes = std::min<std::uint64_t>(copy.bytes, source.size());
    switch (random() % 3) {
      case 0: break;  // the very first bytes
      case 1: copy.source_offset = source.size() - copy.bytes; break;
      case 2: copy.source_offset = random() % (source.size() - copy.bytes + 1); break;
    }
    Bytes copied(source.begin() + static_cast<std::ptrdiff_t>(copy.source_offset),
                 source.begin() + static_cast<std::ptrdiff_t>(copy.source_offset + copy.bytes));
    for (std::size_t i = random() % 20; i < copied.size(); i += 1 + random() % 400)
      copied[i] ^= static_cast<std::uint8_t>(random() % 3);
    pair.target.insert(pair.target.end(), copied.begin(), copied.end());
    pair.copies.push_back(copy);
  }
  return pair;
}

std::string sha256_of(const std::vector<Bytes>& chunks) {
  Bytes all;
  for (const Bytes& chunk : chunks) all.insert(all.end(), chunk.begin(), chunk.end());
  return to_hex(crypto::sha256(all));
}

}  // namespace

TEST_CASE("kMixed: copies anywhere, of base and target, in chunks of any size") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    const MixedPair pair = random_copies(random);
    const std::size_t sizes[] = {kMiB, 1 + random() % 10'000, 4096};
    check_round_trip(pair, sizes[seed % 3]);
  }
}

TEST_CASE("kMixed: no base, an empty base, an empty copy list, single bytes") {
  Random random(1);
  MixedPair pair;
  pair.target = prose(random, 10'000);
  for (const std::size_t chunk : {1u, 999u, 10'000u}) {
    if (chunk == 1) pair.target.resize(20);
    if (chunk == 999) pair.target = prose(random, 10'000);
    check_round_trip(pair, chunk);
    const auto made = decode_chunks(pair, encode_chunks(pair, chunk), chunk, true);
    REQUIRE(made);
    CHECK(*made == pair.target);
  }
  for (int byte = 0; byte < 256; byte += 51) {
    pair.base = pair.target = Bytes{static_cast<std::uint8_t>(byte)};
    pair.copies = {{0, 0, 1}};
    check_round_trip(pair, 10);
    pair.copies.clear();
    check_round_trip(pair, 10);
  }
}

TEST_CASE("kMixed: what is equal costs next to nothing, around every bound of its stretches") {
  Random random(2);
  const Bytes base = noise(random, 100'000);
  for (const std::size_t bytes :
       {1u, 63u, 64u, 65u, 1023u, 1024u, 1025u, 32'767u, 32'768u, 32'769u, 65'536u, 100'000u}) {
    INFO(bytes);
    MixedPair pair{base,
                   Bytes(base.begin(), base.begin() + static_cast<std::ptrdiff_t>(bytes)),
                   {},
                   {{0, 0, bytes}}};
    CHECK(check_round_trip(pair, kMiB) < 40 + bytes / 64 / 8);
    for (const std::size_t at : {bytes - 1, bytes / 2, std::size_t{0}}) {
      pair.target[at] ^= 0x40;
      CHECK(check_round_trip(pair, kMiB) < 120 + bytes / 64 / 8);
    }
  }
}

TEST_CASE("kMixed: copies of the target out of earlier chunks, the same one, and both at once") {
  Random random(3);
  for (const std::size_t from : {0u, 900u, 1000u, 1001u}) {
    INFO(from);
    MixedPair pair;
    pair.target = noise(random, 1200);
    const std::uint64_t at = pair.target.size();
    const std::uint64_t bytes = std::min<std::uint64_t>(at - from, 190);
    for (std::uint64_t i = 0; i < bytes; ++i) pair.target.push_back(pair.target[from + i]);
    pair.copies = {{at, from, bytes, Copy::Source::kTarget}};
    const std::size_t with = check_round_trip(pair, 1000);
    pair.copies.clear();
    const std::size_t without = check_round_trip(pair, 1000);
    if (from < 1000) CHECK(with + 80 < without);  // else its own bytes are known to the chunk
    pair.base = noise(random, 500);               // with one, the source of a copy must be said
    pair.copies = {{at, from, bytes, Copy::Source::kTarget}};
    check_round_trip(pair, 1000);
  }
}

TEST_CASE("kMixed: fields that reach over ends of copies, ranges, windows and chunks") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MixedPair pair = moved_program(random, 900, 1 + random() % 40);
    // Copies cut at random places, some of them out of line, some bytes between.
    CopyList pieces;
    for (Copy copy : pair.copies)
      while (copy.bytes > 0) {
        Copy piece = copy;
        piece.bytes = std::min(copy.bytes, 1 + random() % (seed % 2 == 0 ? 200 : 40'000));
        copy.target_offset += piece.bytes;
        copy.source_offset += piece.bytes;
        copy.bytes -= piece.bytes;
        if (random() % 10 == 0) piece.source_offset = random() % (pair.base.size() - piece.bytes);
        if (random() % 10 != 0) pieces.push_back(piece);
      }
    pair.copies = pieces;
    // Ranges that begin and end anywhere, with other kinds and gaps between them.
    for (std::vector<AddressRange>* ranges : {&pair.table.base, &pair.table.target}) {
      std::vector<AddressRange> pieces_of;
      for (AddressRange range : *ranges)
        while (range.bytes > 0) {
          AddressRange piece = range;
          piece.bytes = std::min(range.bytes, 1 + random() % 9'000);
          range.offset += piece.bytes;
          range.bytes -= piece.bytes;
          if (random() % 8 == 0) piece.kind = static_cast<RangeKind>(1 + random() % kRangeKindMax);
          if (random() % 8 != 0) pieces_of.push_back(piece);
        }
      *ranges = pieces_of;
    }
    check_round_trip(pair, seed % 3 == 0 ? kMiB : 1 + random() % 20'000);
  }
}

TEST_CASE("kMixed: moved addresses are predicted, not said") {
  Random random(4);
  MixedPair pair = moved_program(random, 3000, 10);
  const std::size_t with = check_round_trip(pair, kMiB);
  pair.table = {};
  const std::size_t without = check_round_trip(pair, kMiB);
  CHECK(with * 5 < without * 4);
}

TEST_CASE("kMixed: modules by turns, and a range of the base on one of another module") {
  Random random(5);
  MixedPair pair = moved_program(random, 600, 7);
  pair.table.modules.push_back(pair.table.modules[0]);
  pair.table.base[1].module = 1;
  check_round_trip(pair, 5000);
  pair.table.target[1].module = 1;
  check_round_trip(pair, 5000);
  pair.table.modules[1] = {~std::uint64_t{0} - 5, 3, 0, ~std::uint64_t{0}, true};
  check_round_trip(pair, 5000);
}

TEST_CASE("kMixed: a program at hand, shifted in a larger image and changed") {
  RealDisk disk;
  const Bytes program = read_file(disk, LAYBY_BIN_DIR "/layby-delta", 256 * kMiB).value();
  Random random(6);
  Bytes base(4096, 1);
  base.insert(base.end(), program.begin(), program.end());
  Bytes target(12'288, 2);
  target.insert(target.end(), program.begin(), program.end());
  for (int i = 0; i < 100; ++i)
    target[16'384 + random() % (program.size() / 2)] = static_cast<std::uint8_t>(random());
  Bytes changed = program;  // what is equal needs no addresses
  changed[program.size() / 3] ^= 1;
  MixedPair pair{base, target, find_addresses(program, changed), {{12'288, 4096, program.size()}}};
  REQUIRE(!pair.table.modules.empty());
  for (AddressRange& range : pair.table.base) {
    range.offset += 4096;
    range.address_shift -= 4096;
  }
  for (AddressRange& range : pair.table.target) {
    range.offset += 12'288;
    range.address_shift -= 12'288;
  }
  CHECK(check_round_trip(pair, kMiB) < 8'000);
  // As if every section behind it had grown: other addresses for the same bytes.
  for (AddressRange& range : pair.table.target) range.address_shift += 64;
  check_round_trip(pair, kMiB);
}

TEST_CASE("kMixed: the bytes are the same on every processor and with every compiler") {
  Random random(7);
  MixedPair pair = moved_program(random, 500, 9);
  const Bytes text = prose(random, 3000);
  pair.target.insert(pair.target.end(), text.begin(), text.end());
  pair.copies.push_back(
      {pair.target.size() - 500, pair.target.size() - 2900, 300, Copy::Source::kTarget});
  CHECK(sha256_of(encode_chunks(pair, 10'000)) ==
        "0faa43413ddcfdce8ba841cd140d6cfa89c33d65d0f466a4fd0a8c564698b2ac");
  pair.table = {};
  CHECK(sha256_of(encode_chunks(pair, 10'000)) ==
        "0fb9e1bd8ea66ed4dfd0fc178d5292dc587af5667ddb8ab3360fde876356c2b2");
}
