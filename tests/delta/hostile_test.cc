// Payloads as an attack: digests are right, contents are not. (P5.1: nothing incomplete.)
#include <catch2/catch.hpp>

#include "base/limits.h"
#include "delta/applier.h"
#include "delta/encoder.h"
#include "delta/varint.h"
#include "delta/zstd_columns.h"
#include "delta/zstd_frame.h"
#include "tests/delta/memory_file.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;

namespace {

Bytes chunk_for(const MemoryFile& base, const Bytes& target) {
  return encode_zstd_columns({base.bytes, target, 0, target.size()},
                             base.bytes.empty() ? CopyList{} : CopyList{{0, 0, target.size()}},
                             Effort::kQuick);
}

// A payload of one chunk with these bytes, every digest recomputed.
Bytes payload_around(const Bytes& chunk, const MemoryFile& base, const Bytes& claimed_target) {
  PayloadHeadBuilder builder(CoderId::kZstdColumns, kChunkTargetBytesMax, 1);
  builder.set_target(claimed_target.size(), crypto::sha256(claimed_target));
  builder.set_base({base.size(), crypto::sha256(base.bytes)});
  builder.add_chunk(static_cast<std::uint32_t>(claimed_target.size()),
                    static_cast<std::uint32_t>(chunk.size()), crypto::blake2b_256(chunk),
                    crypto::blake2b_256(claimed_target));
  Bytes payload = builder.serialise();
  payload.insert(payload.end(), chunk.begin(), chunk.end());
  return payload;
}

void mutate(Random& random, Bytes& bytes) {
  for (std::uint64_t n = 1 + random() % 3; n > 0 && !bytes.empty(); --n) {
    const std::size_t at = random() % bytes.size();
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (random() % 6) {
      case 0: bytes[at] ^= static_cast<std::uint8_t>(1u << (random() % 8)); break;
      case 1: bytes[at] = static_cast<std::uint8_t>(random()); break;
      case 2: bytes[at] = 0xff; break;
      case 3: bytes.erase(place); break;
      case 4: bytes.insert(place, static_cast<std::uint8_t>(random())); break;
      case 5: bytes.resize(at); break;
    }
  }
}

// A chunk of stored columns, as an attacker would write it.
struct Forged {
  std::uint8_t width = 1;
  std::uint64_t history_bytes = 0;
  Bytes columns[kColumns];

  Bytes serialise() const {
    Bytes out{width};
    append_varint(out, history_bytes);
    for (const Bytes& column : columns) {
      append_varint(out, column.size());
      append_varint(out, 0);
    }
    for (const Bytes& column : columns) out.insert(out.end(), column.begin(), column.end());
    return out;
  }
};

Bytes numbers(std::initializer_list<std::uint64_t> values) {
  Bytes out;
  for (const std::uint64_t value : values) append_varint(out, value);
  return out;
}

Result<void> decode(const Bytes& chunk, const ReadAt* base, std::size_t out_bytes,
                    Bytes* made = nullptr) {
  Bytes out(out_bytes);
  const auto decoder = make_zstd_columns_decoder();
  const auto result = decoder->decode(chunk, base, MemoryFile(), 0, out);
  if (made != nullptr) *made = out;
  return result;
}

}  // namespace

TEST_CASE("thousands of mutated payloads never make anything but the target or an error") {
  Random random(20);
  const MemoryFile base(prose(random, 30'000));
  Bytes target = base.bytes;
  for (int i = 0; i < 300; ++i) target[random() % target.size()] ^= 0x21;
  const Bytes payload = payload_around(chunk_for(base, target), base, target);
  for (int i = 0; i < 3000; ++i) {
    Bytes mutated = payload;
    mutate(random, mutated);
    MemoryFile file;
    if (apply_payload(MemoryFile(mutated), &base, file)) CHECK(file.bytes == target);
  }
}

TEST_CASE("mutated chunks under fresh digests reach the decoder and do no harm") {
  int refused = 0;
  for (const int kind : {0, 1, 2}) {
    Random random(30 + static_cast<std::uint64_t>(kind));
    const MemoryFile base(kind == 0 ? Bytes{} : prose(random, 5'000));
    Bytes target = kind == 0 ? prose(random, 5'000) : base.bytes;
    if (kind != 0)
      for (int i = 0; i < 200; ++i) {
        const std::size_t at = random() % (target.size() - 4);
        for (int k = 0; k < (kind == 1 ? 1 : 4); ++k)
          target[at + static_cast<std::size_t>(k)] ^= 0x5a;
      }
    const Bytes chunk = chunk_for(base, target);
    for (int i = 0; i < 4000; ++i) {
      Bytes mutated = chunk;
      mutate(random, mutated);
      if (mutated.empty()) continue;
      MemoryFile file;
      const auto done =
          apply_payload(MemoryFile(payload_around(mutated, base, target)), &base, file);
      if (done) CHECK(file.bytes == target);
      if (!done) {
        ++refused;
        CHECK((done.error().code() == ErrorCode::kBadPayload ||
               done.error().code() == ErrorCode::kWrongChunk));
        CHECK(file.bytes.empty());
      }
    }
  }
  CHECK(refused > 10'000);
}

TEST_CASE("forged columns are refused for what is wrong with them") {
  const MemoryFile base(Bytes(100, 'b'));
  const Forged good{1, 0, {numbers({0}), numbers({10}), numbers({0}), numbers({3}), {1}, {}}};
  Bytes made;
  REQUIRE(decode(good.serialise(), &base, 10, &made));
  CHECK(as_text(made) == "bbbcbbbbbb");

  struct Case {
    const char* what;
    Forged forged;
  };
  const std::uint64_t far = zigzag(91);
  const Case cases[] = {
      {"a copy past the end of the base", {1, 0, {numbers({0}), numbers({10}), numbers({far})}}},
      {"a copy before the base", {1, 0, {numbers({0}), numbers({10}), numbers({zigzag(-1)})}}},
      {"jumps that overflow",
       {1, 0, {numbers({0, 0}), numbers({5, 5}), numbers({zigzag(INT64_MAX), zigzag(INT64_MAX)})}}},
      {"an empty copy", {1, 0, {numbers({0, 0}), numbers({0, 10}), numbers({0, 0})}}},
      {"a copy longer than the chunk", {1, 0, {numbers({0}), numbers({11}), numbers({0})}}},
      {"a copy that leaves no room for new bytes",
       {1, 0, {numbers({0, 1}), numbers({10}), numbers({0}), {}, {}, {'n'}}}},
      {"more new bytes than there are", {1, 0, {numbers({10}), {}, {}, {}, {}, {1, 2, 3}}}},
      {"new bytes left over", {1, 0, {numbers({0}), numbers({10}), numbers({0}), {}, {}, {1}}}},
      {"a copy left over", {1, 0, {numbers({0}), numbers({10, 1}), numbers({0})}}},
      {"a jump left over", {1, 0, {numbers({0}), numbers({10}), numbers({0, 0})}}},
      {"a gap beyond the copies",
       {1, 0, {numbers({0}), numbers({10}), numbers({0}), numbers({10}), {1}}}},
      {"a gap without a difference",
       {1, 0, {numbers({0}), numbers({10}), numbers({0}), numbers({3})}}},
      {"a difference without a gap", {1, 0, {numbers({0}), numbers({10}), numbers({0}), {}, {1}}}},
      {"a word of more than 32 bits",
       {4, 0, {numbers({0}), numbers({10}), numbers({0}), numbers({3}), numbers({1ull << 32})}}},
      {"an unknown width", {2, 0, {numbers({0}), numbers({10}), numbers({0})}}},
      {"history before the beginning", {1, 1, {numbers({0}), numbers({10}), numbers({0})}}},
      {"nothing at all", {1, 0, {}}},
      {"a number spelt too long", {1, 0, {{0x80, 0x00}, numbers({10}), numbers({0})}}},
      {"a number without end", {1, 0, {{0x80}, numbers({10}), numbers({0})}}},
      {"a number of 70 bits",
       {1,
        0,
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
         numbers({10}),
         numbers({0})}}},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    const auto refused = decode(c.forged.serialise(), &base, 10);
    REQUIRE(!refused);
    CHECK(refused.error().code() == ErrorCode::kBadPayload);
  }
  CHECK(decode(good.serialise(), nullptr, 10).error().code() == ErrorCode::kBadPayload);
}

TEST_CASE("a column that claims to unpack to gigabytes is refused before memory is taken") {
  Bytes chunk{1};
  append_varint(chunk, 0);
  for (std::size_t i = 0; i < kColumns; ++i) {
    append_varint(chunk, i == 3 ? 1ull << 40 : 0);
    append_varint(chunk, i == 3 ? 8 : 0);
  }
  chunk.resize(chunk.size() + 8);
  CHECK(decode(chunk, nullptr, 10).error().code() == ErrorCode::kBadPayload);
}

TEST_CASE("a chunk that holds more while it is decoded than a car gives is refused before that") {
  constexpr std::size_t kTargetBytes = 4 * kMiB;
  const auto chunk_with = [](std::size_t unpacked, std::size_t stored) {
    Bytes chunk{1, 0};
    for (std::size_t i = 0; i < kColumns; ++i) {
      append_varint(chunk, i == 3 ? unpacked : i == 5 ? stored : 0);
      append_varint(chunk, i == 3 ? 8 : 0);
    }
    chunk.resize(chunk.size() + 8 + stored);
    return chunk;
  };
  const auto why = [&](const Bytes& chunk) {
    return decode(chunk, nullptr, kTargetBytes).error().message();
  };
  const std::size_t fits = kDecodingBytesMax - kTargetBytes - 4 * kMiB - 64;
  CHECK_THAT(why(chunk_with(4 * kMiB, fits)), !Catch::Contains("besides its target bytes"));
  CHECK_THAT(why(chunk_with(4 * kMiB, fits + 64)), Catch::Contains("besides its target bytes"));
}

TEST_CASE("a packed column is one frame as the encoder writes it, and nothing beside it") {
  const Bytes text(1000, 'a');
  const Bytes frame = zstd_pack(text, {}, 3);
  ZstdUnpacker unpacker;
  Bytes out(text.size());
  REQUIRE(unpacker.unpack(frame, {}, out));
  CHECK(out == text);

  Bytes twice = frame;
  twice.insert(twice.end(), frame.begin(), frame.end());
  Bytes trailing = frame;
  trailing.push_back(0);
  const Bytes cut(frame.begin(), frame.end() - 1);
  // Raw blocks under the magic number of zstd 0.5: libraries that still read it do so here too.
  const Bytes old_format{0x25, 0xb5, 0x2f, 0xfd, 0,   0x40, 0, 5,
                         'h',  'e',  'l',  'l',  'o', 0xc0, 0, 0};
  // A header that announces the size of its contents, and one with a checksum.
  const Bytes with_size{0x20, 5, 0x29, 0, 0, 'h', 'e', 'l', 'l', 'o'};
  const Bytes with_checksum{0x04, 0, 0x29, 0, 0, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, 0};
  const Bytes reserved_block{0, 0, 0x2f, 0, 0, 'h', 'e', 'l', 'l', 'o'};
  struct Case {
    const char* what;
    const Bytes& frame;
    std::size_t makes;
  };
  const Case cases[] = {{"two frames", twice, 2000},          {"a byte more", trailing, 1000},
                        {"a byte less", cut, 1000},           {"zstd 0.5", old_format, 5},
                        {"content size", with_size, 5},       {"checksum", with_checksum, 5},
                        {"no such block", reserved_block, 5}, {"nothing", {}, 0}};
  for (const Case& c : cases) {
    INFO(c.what);
    Bytes made(c.makes);
    const auto refused = unpacker.unpack(c.frame, {}, made);
    CHECK(!refused);
    if (!refused) CHECK(refused.error().code() == ErrorCode::kBadPayload);
  }
  const Bytes plain{0, 0, 0x29, 0, 0, 'h', 'e', 'l', 'l', 'o'};
  Bytes hello(5);
  CHECK(unpacker.unpack(plain, {}, hello));
  CHECK(as_text(hello) == "hello");
}
