// Chunks of CoderId::kMixed as an attack: digests are right, contents are not. (P5.1: nothing
// incomplete.)
#include <catch2/catch.hpp>

#include "delta/applier.h"
#include "delta/mixed_chunk.h"
#include "tests/delta/mixed_pairs.h"
#include "tests/fuzz/memory_bytes.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;
using layby::tests::MemoryBytes;

namespace {

constexpr std::size_t kChunk = 8000;

// Decodes chunk 1 of the pair's target from `chunk`; whoever reads past an end is stopped.
Result<Bytes> decode_second(const MixedPair& pair, const Bytes& chunk,
                            std::size_t out_bytes = kChunk) {
  const MemoryBytes base(pair.base);
  const MemoryBytes target(ByteSpan(pair.target).first(kChunk));
  Bytes out(out_bytes);
  TRY_VOID(make_mixed_decoder(pair.table)->decode(chunk, &base, target, kChunk, out));
  return out;
}

// An end, or an error: never anything but kBadPayload.
bool is_refused(const Result<Bytes>& made) {
  if (made) return false;
  CHECK(made.error().code() == ErrorCode::kBadPayload);
  return true;
}

MixedPair pair_of(std::uint64_t seed) {
  Random random(seed);
  MixedPair pair = moved_program(random, 400, 6);
  for (Copy& copy : pair.copies)
    if (copy.bytes > 3000) copy.bytes -= 1000;  // and new bytes
  return pair;
}

// Writes a chunk as an attacker would: with the coder's own models, but any numbers.
class Forger {
 public:
  Forger& new_bytes(std::uint64_t count) {
    state_->new_counts.code(bits_, 0, count);
    return *this;
  }
  Forger& source(Copy::Source source) {
    auto& slots = state_->history.copy_slots;
    code_bit(bits_, slots[0], source != Copy::Source::kBase, kFlagLimit);
    if (source != Copy::Source::kBase)
      code_bit(bits_, slots[MixedHistory::kRecentCopies], source == Copy::Source::kMirror,
               kFlagLimit);
    return *this;
  }
  // Of the base, by a jump from the last alignment.
  Forger& of_base(std::uint64_t bytes_less_one, std::int64_t jump) {
    state_->copy_counts.code(bits_, 0, bytes_less_one);
    for (std::size_t i = 1; i < state_->history.recent.size(); ++i)
      code_bit(bits_, state_->history.copy_slots[i], false, kFlagLimit);
    state_->jumps.code(bits_, 0, zigzag(jump));
    return *this;
  }
  Forger& of_target(std::uint64_t bytes_less_one, std::uint64_t distance) {
    state_->copy_counts.code(bits_, 1, bytes_less_one);
    state_->jumps.code(bits_, 1, distance);
    return *this;
  }
  Forger& mirrored(std::uint64_t bytes_less_one, std::uint64_t end) {
    state_->copy_counts.code(bits_, 2, bytes_less_one);
    state_->jumps.code(bits_, 2, zigzag(static_cast<std::int64_t>(end)));
    return *this;
  }
  // A copied stretch of 1024 bytes, all as expected.
  Forger& clean_stretch() {
    code_bit(bits_, state_->history.stretch_slots[0], true, kFlagLimit);
    return *this;
  }
  Bytes chunk() {
    Bytes made = std::move(bits_).finish();
    made.insert(made.begin(), static_cast<std::uint8_t>(ChunkForm::kBits));
    return made;
  }

 private:
  static constexpr std::uint32_t kFlagLimit = 200;
  std::unique_ptr<MixedState> state_ = std::make_unique<MixedState>();
  BitWriter bits_;
};

constexpr auto kBase = Copy::Source::kBase;
constexpr auto kTarget = Copy::Source::kTarget;
constexpr auto kMirror = Copy::Source::kMirror;

}  // namespace

TEST_CASE("kMixed: chunks that are cut off or longer make an error or other bytes, and no harm") {
  const MixedPair pair = pair_of(1);
  const Bytes chunk = encode_chunks(pair, kChunk)[1];
  REQUIRE(decode_second(pair, chunk));
  const std::size_t step = 1 + chunk.size() / 60;
  for (std::size_t size = 0; size < chunk.size(); size += step) {
    const Bytes cut_off(chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(size));
    const auto made = decode_second(pair, cut_off);
    is_refused(made);
    if (made) CHECK(ByteSpan(*made).size() == kChunk);
  }
  Bytes longer = chunk;
  longer.resize(chunk.size() + 5, 0);
  CHECK(is_refused(decode_second(pair, longer)));
}

TEST_CASE("kMixed: flipped bits, random bytes, zeros and ones do no harm") {
  const MixedPair pair = pair_of(3);
  const Bytes chunk = encode_chunks(pair, kChunk)[1];
  Random random(3);
  int refused = 0;
  for (int i = 0; i < 150; ++i) {
    Bytes mutated = chunk;
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n)
      mutated[random() % std::min<std::size_t>(mutated.size(), i % 2 ? 40 : mutated.size())] ^=
          static_cast<std::uint8_t>(1u << random() % 8);
    refused += is_refused(decode_second(pair, mutated));
    refused += is_refused(decode_second(pair, noise(random, 1 + random() % 3000)));
  }
  CHECK(refused > 100);
  for (const std::size_t size : {1u, 4u, 100u, 100'000u})
    for (const std::uint8_t byte : {0x00, 0xff, 0x55})
      is_refused(decode_second(pair, Bytes(size, byte)));
  CHECK(is_refused(decode_second(pair, Bytes(100'000, 0))));
  CHECK(is_refused(decode_second(pair, {})));
  CHECK(is_refused(decode_second(pair, {2, 0, 0, 0})));  // no such form
}

TEST_CASE("kMixed: a forged chunk is refused for what is wrong with it") {
  MixedPair pair;
  pair.base = Bytes(5000, 'b');
  pair.target = Bytes(kChunk, 't');
  const auto alignment = -static_cast<std::int64_t>(kChunk);  // of the base's first byte
  const auto base_copy = [&](std::uint64_t bytes, std::int64_t at) {
    Forger forger;
    forger.new_bytes(0).source(kBase).of_base(bytes - 1, alignment + at);
    return forger;
  };
  // What is right, to see that the others fail for what is wrong with them.
  const auto good = decode_second(pair, base_copy(1024, 0).clean_stretch().chunk(), 1024);
  REQUIRE(good);
  CHECK(*good == Bytes(1024, 'b'));
  CHECK(decode_second(pair, base_copy(1024, 5000 - 1024).clean_stretch().chunk(), 1024));
  const auto repeated = decode_second(
      pair, Forger().new_bytes(0).source(kTarget).of_target(1023, kChunk).clean_stretch().chunk(),
      1024);
  REQUIRE(repeated);
  CHECK(*repeated == Bytes(1024, 't'));

  const auto target_copy = [](std::uint64_t bytes, std::uint64_t distance) {
    Forger forger;
    forger.new_bytes(0).source(kTarget).of_target(bytes - 1, distance);
    return forger;
  };
  struct Case {
    const char* what;
    Bytes chunk;
  };
  const std::uint64_t huge = (std::uint64_t{1} << 63) - 1;
  const Case cases[] = {
      {"past the end of the base", base_copy(1024, 5000 - 1023).chunk()},
      {"behind the base", base_copy(1, 5001).chunk()},
      {"before the base", base_copy(1, -1).chunk()},
      {"far before the base", base_copy(1, -(std::int64_t{1} << 61)).chunk()},
      {"longer than the chunk", base_copy(1025, 0).chunk()},
      {"as long as numbers go", base_copy(huge, 0).chunk()},
      {"of target bytes that are not written", target_copy(2, 1).chunk()},
      {"of itself", target_copy(1, 0).chunk()},
      {"before the target", target_copy(1, kChunk + 1).chunk()},
      {"far before the target", target_copy(1, huge).chunk()},
      {"more new bytes than the chunk has", Forger().new_bytes(1025).chunk()},
      {"as many new bytes as numbers go", Forger().new_bytes(huge).chunk()},
      {"more bytes behind it", Forger().new_bytes(0).chunk()},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    Bytes chunk = c.chunk;
    if (&c == &cases[std::size(cases) - 1]) chunk.resize(5000);
    CHECK(is_refused(decode_second(pair, chunk, 1024)));
  }
}

TEST_CASE("kMixed: without a base nothing is copied from one") {
  const MixedPair pair = pair_of(4);
  MixedPair without = pair;
  without.base.clear();
  const auto chunks = encode_chunks(pair, kChunk);
  for (const bool no_base : {false, true}) {
    const auto made = decode_chunks(without, chunks, kChunk, no_base);
    if (!is_refused(made)) CHECK(*made != pair.target);
  }
  // The last bytes of the base are missing.
  MixedPair shorter = pair;
  shorter.base.resize(shorter.base.size() - 1500);
  CHECK(is_refused(decode_chunks(shorter, chunks, kChunk)));
}

TEST_CASE("kMixed: tables with hostile numbers, on chunks that were made for others") {
  const MixedPair pair = pair_of(5);
  const Bytes chunk = encode_chunks(pair, kChunk)[1];
  Random random(5);
  const auto any = [&] {
    const std::uint64_t choices[] = {0,
                                     1,
                                     ~std::uint64_t{0},
                                     std::uint64_t{1} << 63,
                                     (std::uint64_t{1} << 63) - 1,
                                     0 - random() % 100'000,
                                     random() % 100'000,
                                     random()};
    return choices[random() % std::size(choices)];
  };
  for (int round = 0; round < 250; ++round) {
    MixedPair hostile = pair;
    for (Module& module : hostile.table.modules) {
      if (round % 2 == 0) module = {any(), any(), any(), any(), random() % 2 == 0};
      if (round % 4 == 1) module = {0, ~std::uint64_t{0}, 0, ~std::uint64_t{0}, true};
    }
    for (std::vector<AddressRange>* ranges : {&hostile.table.base, &hostile.table.target})
      for (AddressRange& range : *ranges) {
        range.address_shift = any();
        range.origin = any();
      }
    const auto kind = static_cast<RangeKind>(1 + random() % kRangeKindMax);
    for (std::vector<AddressRange>* ranges : {&hostile.table.base, &hostile.table.target})
      for (AddressRange& range : *ranges) range.kind = kind;
    is_refused(decode_second(hostile, chunk));
    // And the coder keeps its word with any table.
    if (round % 10 == 0) {
      const auto made = decode_chunks(hostile, encode_chunks(hostile, kChunk), kChunk);
      REQUIRE(made);
      CHECK(*made == hostile.target);
    }
  }
}

TEST_CASE("kMixed: mutated chunks under fresh digests write nothing but the target") {
  const MixedPair pair = pair_of(6);
  const Bytes chunk = encode_chunks(pair, pair.target.size())[0];
  const MemoryBytes base(pair.base);
  Random random(6);
  for (int i = 0; i < 60; ++i) {
    Bytes mutated = chunk;
    if (i > 0) mutated[random() % mutated.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
    PayloadHeadBuilder builder(CoderId::kMixed, kChunkTargetBytesMax, 1, pair.table);
    builder.set_target(pair.target.size(), crypto::sha256(pair.target));
    builder.set_base({pair.base.size(), crypto::sha256(pair.base)});
    builder.add_chunk(static_cast<std::uint32_t>(pair.target.size()),
                      static_cast<std::uint32_t>(mutated.size()), crypto::blake2b_256(mutated),
                      crypto::blake2b_256(pair.target));
    Bytes payload = builder.serialise();
    payload.insert(payload.end(), mutated.begin(), mutated.end());
    MemoryFile file;
    const auto done = apply_payload(MemoryFile(payload), &base, file);
    CHECK(bool(done) == (i == 0));
    if (done) {
      CHECK(file.bytes == pair.target);
      continue;
    }
    CHECK((done.error().code() == ErrorCode::kBadPayload ||
           done.error().code() == ErrorCode::kWrongChunk));
    CHECK(file.bytes.empty());
  }
}

TEST_CASE("kMixed: mirrored steps that are not there are refused") {
  MixedPair pair;
  pair.base = Bytes(5000, 'b');
  pair.target = Bytes(kChunk, 2);
  const auto mirror = [&](std::uint64_t bytes, std::uint64_t end) {
    Forger forger;
    forger.new_bytes(0).source(kMirror).mirrored(bytes - 1, end);
    return decode_second(pair, forger.chunk(), 1000);
  };
  const auto good = mirror(1000, 1000);
  REQUIRE(good);
  CHECK(*good == Bytes(1000, 1));
  CHECK(mirror(1000, kChunk));
  CHECK(is_refused(mirror(1000, 999)));         // no further step
  CHECK(is_refused(mirror(1001, 2000)));        // more than the chunk has
  CHECK(is_refused(mirror(1000, kChunk + 1)));  // not written yet
  CHECK(is_refused(mirror(1000, std::uint64_t{1} << 61)));
  CHECK(is_refused(mirror(1000, 0)));
  pair.target[1999] = 0x80;  // no number ends here
  CHECK(is_refused(mirror(1000, 2000)));
  std::fill_n(pair.target.begin() + 1980, 19, 0x80);  // or it is endless
  CHECK(is_refused(mirror(1000, 2001)));
}
