// Payloads that see through compressed streams: encoder and applier together.
#include <catch2/catch.hpp>

#include "delta/applier.h"
#include "delta/encoder.h"
#include "delta/find_streams.h"
#include "tests/delta/gzip_members.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;

namespace {

struct Pair {
  Bytes base;
  Bytes target;
};

// Archives of text of which every member changed a little.
Pair archives(std::uint64_t seed, std::size_t members, std::size_t member_bytes) {
  Random random(seed);
  std::vector<Bytes> before;
  std::vector<Bytes> after;
  for (std::size_t i = 0; i < members; ++i) {
    const Bytes text = prose(random, member_bytes / 2 + random() % member_bytes);
    const int level = 1 + static_cast<int>(random() % 9);
    before.push_back(gzip(text, level));
    after.push_back(gzip(later_version(random, text, 3), level));
  }
  return {archive(before), archive(after)};
}

Bytes payload_of(const Pair& pair, const EncodeOptions& options = {}) {
  MemoryFile output;
  const auto made = encode(std::make_unique<MemoryFile>(pair.base).get(), MemoryFile(pair.target),
                           options, output);
  INFO((made ? std::string() : made.error().message()));
  REQUIRE(made);
  return output.bytes;
}

PayloadHead head_of(const Bytes& payload) {
  return read_head(MemoryFile(payload)).value();
}

}  // namespace

TEST_CASE("members of an archive that changed cost what changed in them") {
  const Pair pair = archives(1, 12, 40'000);
  const Bytes payload = payload_of(pair);
  const PayloadHead head = head_of(payload);
  CHECK(head.streams().base.size() == 12);
  CHECK(head.streams().target.size() == 12);
  CHECK(head.re_encoders().empty());
  CHECK(payload.size() < 3000);
  EncodeOptions fast;
  fast.profile = Profile::kFast;
  const Bytes left = payload_of(pair, fast);
  CHECK(head_of(left).streams().empty());
  CHECK(payload.size() * 10 < left.size());
  const MemoryFile base(pair.base);
  MemoryFile target;
  REQUIRE(apply_payload(MemoryFile(payload), &base, target));
  CHECK(target.bytes == pair.target);
}

TEST_CASE("members of a zip are seen through too") {
  Random random(7);
  Pair pair;
  for (int i = 0; i < 6; ++i) {
    const Bytes text = prose(random, 30'000);
    const Bytes later = later_version(random, text, 3);
    const bool is_described = i % 2 == 0;  // before the stream, not behind it
    for (auto [contents, archive] :
         {std::pair(&text, &pair.base), std::pair(&later, &pair.target)}) {
      const Bytes stream = compress(*contents, 6, -15);
      Bytes header = to_bytes("PK\x03\x04");
      append_u16(header, 20);
      append_u16(header, is_described ? 0 : 8);
      append_u16(header, 8);
      append_u32(header, 0);
      const auto crc = static_cast<std::uint32_t>(
          ::crc32(0, contents->data(), static_cast<uInt>(contents->size())));
      append_u32(header, is_described ? crc : 0);
      append_u32(header, is_described ? static_cast<std::uint32_t>(stream.size()) : 0);
      append_u32(header, is_described ? static_cast<std::uint32_t>(contents->size()) : 0);
      append_u16(header, 4);
      append_u16(header, 0);
      for (const ByteSpan part : {ByteSpan(header), as_bytes("name"), ByteSpan(stream)})
        archive->insert(archive->end(), part.begin(), part.end());
    }
  }
  const Bytes payload = payload_of(pair);
  CHECK(head_of(payload).streams().target.size() == 6);
  CHECK(payload.size() < 2000);
}

TEST_CASE("members that did not change are copied as they are") {
  Pair pair = archives(2, 6, 20'000);
  const Bytes same = pair.base;
  pair.base.insert(pair.base.end(), same.begin(), same.begin() + 4096);
  pair.target = pair.base;
  pair.target[100] ^= 1;
  CHECK(head_of(payload_of(pair)).streams().empty());
}

TEST_CASE("a payload with streams goes on at every chunk with nothing but base and target") {
  const Pair pair = archives(3, 20, 6000);
  for (const std::uint32_t chunk_bytes : {8192u, 20'000u, 65'536u}) {
    EncodeOptions options;
    options.chunk_target_bytes = chunk_bytes;
    const Bytes payload = payload_of(pair, options);
    const PayloadHead head = head_of(payload);
    CHECK(head.chunk_count() > pair.target.size() / chunk_bytes);
    CHECK_FALSE(head.streams().empty());
    const MemoryFile base(pair.base);
    MemoryFile target;
    for (std::uint32_t i = 0; i < head.chunk_count(); ++i) {
      const ChunkEntry& chunk = head.chunk(i);
      CHECK(head.chunk_view(i).bytes <= chunk_bytes);
      Applier applier = Applier::open(head, &base).value();
      REQUIRE(applier.apply_chunk(
          i, ByteSpan(payload).subspan(chunk.payload_offset, chunk.payload_bytes), target));
      REQUIRE(target.bytes.size() == chunk.target_offset + chunk.target_bytes);
    }
    CHECK(target.bytes == pair.target);
  }
}

TEST_CASE("the payload is the same however many threads look for recipes") {
  const Pair pair = archives(4, 150, 700);
  EncodeOptions options;
  options.threads = 1;
  const Bytes payload = payload_of(pair, options);
  options.threads = 3;
  CHECK(payload_of(pair, options) == payload);
}

TEST_CASE("archives of many seeds round-trip, damaged members included") {
  for (std::uint64_t seed = 10; seed < 40; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    Pair pair = archives(seed, 1 + random() % 8, 1 + random() % 20'000);
    for (std::size_t i = 0; i < seed % 5; ++i) {
      pair.target[random() % pair.target.size()] ^= 1;
      pair.base[random() % pair.base.size()] ^= 1;
    }
    EncodeOptions options;
    options.chunk_target_bytes = 1024u + static_cast<std::uint32_t>(random() % 30'000);
    payload_of(pair, options);  // applied and compared before it is given out
  }
}

TEST_CASE("a base whose stream is not what the list says is refused, whatever its digest") {
  const Pair pair = archives(5, 4, 20'000);
  const Bytes payload = payload_of(pair);
  const PayloadHead head = head_of(payload);
  const StreamPiece piece = head.streams().base.pieces(head.streams().base[1]).front();
  for (const std::size_t at : {std::size_t{0}, std::size_t{100}, std::size_t{piece.bytes - 9u}}) {
    MemoryFile base(pair.base);
    base.bytes[piece.offset + at] ^= 0x55;
    Applier applier = Applier::open(head, &base).value();
    MemoryFile target;
    const ChunkEntry& chunk = head.chunk(0);
    const auto applied = applier.apply_chunk(
        0, ByteSpan(payload).subspan(chunk.payload_offset, chunk.payload_bytes), target);
    REQUIRE(!applied);
    CHECK((applied.error().code() == ErrorCode::kBadPayload ||
           applied.error().code() == ErrorCode::kWrongChunk));
    CHECK(target.bytes.empty());
  }
}
