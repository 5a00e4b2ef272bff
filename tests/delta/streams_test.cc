// Payloads that see through compressed streams: encoder and applier together.
#include <catch2/catch.hpp>

#include "delta/applier.h"
#include "delta/encoder.h"
#include "delta/find_streams.h"
#include "delta/stream_choice.h"
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

TEST_CASE("members of an archive that is compressed itself are seen through too") {
  // Archives of compressed members, compressed: what changed in those is all that counts.
  for (const std::uint32_t chunk_bytes : {64u * 1024u, 1024u * 1024u}) {
    Pair outer;
    std::vector<Bytes> before;
    std::vector<Bytes> after;
    for (std::uint64_t i = 0; i < 5; ++i) {
      const Pair pair = archives(50 + i, 6, 8000);
      before.push_back(gzip(pair.base));
      after.push_back(gzip(pair.target, 6));
    }
    outer = {archive(before), archive(after)};
    EncodeOptions options;
    options.chunk_target_bytes = chunk_bytes;
    const Bytes payload = payload_of(outer, options);
    const PayloadHead head = head_of(payload);
    CHECK(head.streams().target.size() == 5);
    CHECK(head.streams().inner_target.size() == 30);
    CHECK(payload.size() < 5000);
    const MemoryFile base(outer.base);
    MemoryFile target;
    for (std::uint32_t i = 0; i < head.chunk_count(); ++i) {
      const ChunkEntry& chunk = head.chunk(i);
      CHECK(head.chunk_view(i).bytes <= chunk_bytes);
      Applier applier = Applier::open(head, &base).value();
      REQUIRE(applier.apply_chunk(
          i, ByteSpan(payload).subspan(chunk.payload_offset, chunk.payload_bytes), target));
    }
    CHECK(target.bytes == outer.target);
  }
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

TEST_CASE("where more streams changed than a payload holds, as many as fit are seen through") {
  Random random(11);
  std::vector<Bytes> before;
  std::vector<Bytes> after;
  for (std::size_t i = 0; i < kStreamsMax + 100; ++i) {
    const Bytes text = prose(random, 200);  // all of one length
    Bytes later = text;
    later[random() % later.size()] ^= 1;
    before.push_back(gzip(text));
    after.push_back(gzip(later));
  }
  const StreamChoice choice = choose_streams(archive(before), archive(after), kMiB, 2, {});
  CHECK(choice.table.target.size() > kStreamsMax / 4 * 3);
  CHECK(choice.table.target.size() + choice.left_out == kStreamsMax + 100);
}

TEST_CASE("names of gzip members are looked for in 4 KiB") {
  Random random(12);
  const Bytes text = prose(random, 3000);
  const Bytes stream = gzip(text);
  for (const std::size_t name_bytes : {100u, 4095u, 4096u, 100'000u}) {
    Bytes image(stream.begin(), stream.begin() + 10);
    image[3] |= 8;
    image.resize(image.size() + name_bytes, 'n');
    image.push_back(0);
    image.insert(image.end(), stream.begin() + 10, stream.end());
    CHECK(find_streams(image).size() == (name_bytes < 4096 ? 1 : 0));
  }
}

TEST_CASE("headers whose names never end, and streams that make nothing, are soon given up") {
  // Each of these took the whole rest of the image for each of its headers.
  Bytes names;
  while (names.size() < 8 * kMiB) {
    const Bytes header{0x1f, 0x8b, 8, 8, 1, 1, 1, 1, 1, 1};
    names.insert(names.end(), header.begin(), header.end());
  }
  CHECK(find_streams(names).empty());
  Bytes blocks;
  while (blocks.size() < 4 * kMiB) {
    const Bytes header{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0};
    blocks.insert(blocks.end(), header.begin(), header.end());
    for (int i = 0; i < 12; ++i) append_u32(blocks, 0xff0000), blocks.push_back(0xff);
  }
  CHECK(find_streams(blocks).empty());
}

TEST_CASE("looking for a recipe ends when it took its work") {
  Random random(13);
  const Bytes text = prose(random, 20'000);
  const Bytes stream = compress(text, 9, -15);
  Deflater deflater;
  std::uint64_t work = 10'000'000;
  CHECK(deflater.find_recipe(stream, text, {}, {}, work));
  CHECK(work < 10'000'000 - 20'000);
  work = 10'000;
  CHECK_FALSE(deflater.find_recipe(stream, text, {}, {}, work));
  CHECK(work == 0);
}

TEST_CASE("streams of a chunk share the steps that making them may take") {
  // Matches of every candidate, up to the last byte before it differs.
  Bytes text;
  for (std::size_t i = 0; text.size() < 200'000; ++i) {
    text.insert(text.end(), 200 + i % 50, 'a');
    text.push_back(static_cast<std::uint8_t>(i));
  }
  const DeflateRecipe recipe{.family = DeflateFamily::kZlib, .level = 9};
  Deflater deflater;
  Bytes stream = compress(text, 9, -15);
  CHECK_FALSE(deflater.deflate(text, recipe, stream));
  constexpr std::uint64_t kMany = std::uint64_t{1} << 40;
  const std::uint64_t given = text.size() * kDeflateStepsPerByteMax;
  std::uint64_t left = kMany;
  REQUIRE(deflater.deflate(text, recipe, stream, left));
  CHECK(stream == compress(text, 9, -15));
  const std::uint64_t more = kMany - left;  // than is given for the text
  CHECK(more > kDeflateStepsBesides);
  CHECK(more < given);
  // What others before it left it may take, and nothing is left then.
  left = more;
  REQUIRE(deflater.deflate(text, recipe, stream, left));
  CHECK(left == 0);
  CHECK_FALSE(deflater.deflate(text, recipe, stream, left));
}
