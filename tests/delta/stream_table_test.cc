// The list of streams in a payload's head, and the views that it makes.
#include "delta/stream_table.h"

#include <catch2/catch.hpp>

#include "delta/chunk_plan.h"
#include "delta/image_view.h"
#include "delta/payload.h"
#include "delta/read_cost.h"
#include "delta/varint.h"
#include "delta/xz_stream.h"
#include "delta/zstd_frame.h"
#include "tests/delta/gzip_members.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;

namespace {

Stream stream_of(std::uint32_t text_bytes, std::uint32_t recipe = 0) {
  Stream stream;
  stream.text_bytes = text_bytes;
  stream.recipe = recipe;
  return stream;
}

StreamTable sample() {
  StreamTable table;
  table.base.add(stream_of(1000), std::vector<StreamPiece>{{100, 50}});
  table.base.add(stream_of(70), std::vector<StreamPiece>{{200, 10}, {20, 5}, {400, 30}});
  table.target.add(stream_of(500, 8), std::vector<StreamPiece>{{0, 100}});
  table.target.add(stream_of(7, 3), std::vector<StreamPiece>{{100, 64}, {180, 1}});
  return table;
}

Bytes packed(std::initializer_list<std::uint64_t> values) {
  Bytes raw;
  for (const std::uint64_t value : values) append_varint(raw, value);
  Bytes out;
  append_varint(out, raw.size());
  const Bytes frame = zstd_pack(raw, {}, 19);
  out.insert(out.end(), frame.begin(), frame.end());
  return out;
}

// A stream within the text of the first one, and one across the end of a text.
StreamTable nested_sample() {
  StreamTable table = sample();
  table.inner_base.add(stream_of(300), std::vector<StreamPiece>{{150, 40}});
  table.inner_target.add(stream_of(900, 8), std::vector<StreamPiece>{{20, 30}, {60, 10}});
  table.inner_target.add(stream_of(30, 8), std::vector<StreamPiece>{{490, 20}});
  return table;
}

void check_refused(const Bytes& bytes) {
  const auto parsed = parse_stream_table(bytes);
  REQUIRE(!parsed);
  CHECK(parsed.error().code() == ErrorCode::kBadPayload);
}

// A head of one chunk with these streams.
Result<PayloadHead> head_with(const StreamTable& table, std::vector<std::uint32_t> chunks) {
  PayloadHeadBuilder builder(CoderId::kMixed, kChunkTargetBytesMax,
                             static_cast<std::uint32_t>(chunks.size()), {}, table);
  std::uint64_t bytes = 0;
  for (const std::uint32_t chunk : chunks) bytes += chunk;
  builder.set_target(bytes, {});
  builder.set_base({1000, {}});
  for (const std::uint32_t chunk : chunks) builder.add_chunk(chunk, 1, {}, {});
  return parse_head(builder.serialise());
}

}  // namespace

TEST_CASE("a stream table is what it was once it is read again") {
  const StreamTable table = sample();
  const Bytes bytes = serialise_stream_table(table);
  const StreamTable read = parse_stream_table(bytes).value();
  CHECK(serialise_stream_table(read) == bytes);
  REQUIRE(read.base.size() == 2);
  CHECK(read.base[1].bytes == 45);
  CHECK(read.base.pieces(read.base[1])[1].offset == 20);
  CHECK(read.target[0].recipe == 8);
  CHECK(read.zstd_version == 0);
  CHECK(serialise_stream_table({}).empty());
  CHECK(parse_stream_table({}).value().empty());
}

TEST_CASE("a table of streams within streams is what it was once it is read again") {
  const StreamTable table = nested_sample();
  const Bytes bytes = serialise_stream_table(table);
  const StreamTable read = parse_stream_table(bytes).value();
  CHECK(serialise_stream_table(read) == bytes);
  REQUIRE(read.inner_target.size() == 2);
  CHECK(read.inner_base[0].text_bytes == 300);
  CHECK(read.inner_target.pieces(read.inner_target[0])[1].offset == 60);
  for (std::size_t size = 1; size < bytes.size(); ++size)
    check_refused(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)));
}

TEST_CASE("a table names the library that makes xz streams, and bounds their texts") {
  const auto with_xz = [](std::uint64_t text, std::uint64_t recipe, std::uint64_t version) {
    return packed({0, 0, 1, 5, 64, text, 5, recipe, 0, 0, 0, version});
  };
  const Bytes bytes = with_xz(kXzTextBytesMax, XzRecipe{6, 10}.number(), 50'040'012);
  const StreamTable table = parse_stream_table(bytes).value();
  CHECK(table.xz_version == 50'040'012);
  CHECK(serialise_stream_table(table) == bytes);
  check_refused(with_xz(kXzTextBytesMax + 1, XzRecipe{6, 10}.number(), 50'040'012));
  check_refused(with_xz(100, XzRecipe{6, 10}.number(), 0));
  check_refused(with_xz(100, XzRecipe{6, 13}.number(), 50'040'012));  // too long a dictionary
  check_refused(with_xz(100, XzRecipe{7, 10}.number(), 50'040'012));
  check_refused(packed({0, 0, 1, 5, 64, 100, 5, 166, 0}));  // no version
  check_refused(packed({0, 1, 5, 64, kXzTextBytesMax + 1, 5, 0, 1, 5, 64, 100, 2, 8, 0}));
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8, 0, 0, 0, 50'040'012}));  // needless
  PayloadHead head = head_with(table, {300}).value();
  CHECK(head.re_encoders() == std::vector<ReEncoder>{{"liblzma", "5.4.1"}});
}

TEST_CASE("inner streams are refused where a car could not hold them") {
  // An outer and an inner stream of the target.
  const auto with_inner = [](std::uint64_t bytes, std::uint64_t further) {
    return packed({0, 0, 1, 5, 64, 100, 2, 8, 0, 0, 1, 5, bytes, 100, 2, 8, further});
  };
  CHECK(parse_stream_table(with_inner(60, 0)));
  CHECK(parse_stream_table(with_inner(kInnerStreamBytesMax, 0)));
  check_refused(with_inner(kInnerStreamBytesMax + 1, 0));
  check_refused(with_inner(60, kStreamPiecesMax - 1));  // more pieces than both lists may have
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8, 0, 0, 0}));            // none
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8, 0, 0, kStreamsMax}));  // too many of both
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8, 0, 0, 1, 5, 60, 100, 4, 8, 0}));  // zstd
}

TEST_CASE("a stream table that nobody writes is refused") {
  // version; base: count, gaps, bytes, texts, forms, further pieces; target the same with recipes
  CHECK(parse_stream_table(packed({0, 0, 1, 5, 64, 100, 2, 8, 0})));
  check_refused(packed({0, 0, 0}));                          // no stream
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8}));        // cut off
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8, 0, 0}));  // left over
  check_refused(packed({0, 0, kStreamsMax + 1}));            // too many
  check_refused(packed({0, 0, 1, 5, 0, 100, 2, 8, 0}));      // no bytes
  check_refused(packed({0, 0, 1, 5, 64, 0, 2, 8, 0}));       // no text
  check_refused(packed({0, 0, 1, 5, 64, kStreamTextBytesMax + 1, 2, 8, 0}));
  check_refused(packed({0, 0, 1, 5, kStreamBytesMax + 1, 100, 2, 8, 0}));
  check_refused(packed({0, 0, 1, kImageBytesMax + 1, 64, 100, 2, 8, 0}));
  check_refused(packed({0, 0, 1, 5, 64, 100, 0, 8, 0}));      // no such form
  check_refused(packed({0, 0, 1, 5, 64, 100, 6, 8, 0}));      // no such form
  check_refused(packed({0, 0, 1, 5, 64, 100, 4, 15, 0}));     // zstd without its version
  check_refused(packed({10504, 0, 1, 5, 64, 100, 2, 8, 0}));  // and the other way round
  // Texts that zstd's compressor would take too much memory for.
  CHECK(parse_stream_table(packed({10504, 0, 1, 5, 64, kStreamTextBytesMax, 4, 4, 0})));
  CHECK(parse_stream_table(packed({10504, 0, 1, 5, 64, 256 * kKiB, 4, 5, 0})));
  check_refused(packed({10504, 0, 1, 5, 64, 256 * kKiB + 1, 4, 5, 0}));
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8, kStreamPiecesMax}));  // too many pieces
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8, 1, 0, 0}));           // an empty piece
  check_refused(packed({0, 0, 1, 5, 64, 100, 2, 8, 1, 199, 1}));         // before the image
  check_refused({1});
  Bytes bytes = serialise_stream_table(sample());
  for (std::size_t size = 1; size < bytes.size(); ++size)
    check_refused(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)));
}

TEST_CASE("a head refuses streams that overlap, leave the image or stand in two chunks") {
  CHECK(head_with(sample(), {300, 200}));
  CHECK(head_with(sample(), {100, 200}));
  for (const std::uint32_t chunk : {50u, 99u, 101u, 163u, 164u, 170u, 180u})
    CHECK(head_with(sample(), {chunk, 300}).error().code() == ErrorCode::kBadPayload);
  CHECK_FALSE(head_with(sample(), {180}));  // the last piece stands behind the end
  StreamTable overlapping = sample();
  overlapping.base.add(stream_of(5), std::vector<StreamPiece>{{405, 5}});
  CHECK(head_with(overlapping, {300}).error().code() == ErrorCode::kBadPayload);
  StreamTable outside = sample();
  outside.base.add(stream_of(5), std::vector<StreamPiece>{{999, 2}});
  CHECK(head_with(outside, {300}).error().code() == ErrorCode::kBadPayload);
  StreamTable long_view;
  for (std::uint64_t i = 0; i < 5; ++i)
    long_view.target.add(stream_of(kStreamTextBytesMax), std::vector<StreamPiece>{{i * 50, 40}});
  CHECK(head_with(long_view, {300}).error().code() == ErrorCode::kTooLarge);
  CHECK(head_with(long_view, {150, 150}).error().code() == ErrorCode::kTooLarge);
  CHECK(head_with(long_view, {50, 50, 50, 50, 100}));
  CHECK(head_with(sample(), {300, kStreamChunkBytesMax}));
  CHECK(head_with(sample(), {300, kStreamChunkBytesMax + 1}).error().code() ==
        ErrorCode::kTooLarge);
}

TEST_CASE("a view has texts in the place of streams, and any part of it can be read") {
  Random random(1);
  const Bytes first = prose(random, 5000);
  const Bytes second = prose(random, 300);
  const Bytes raw_first = compress(first, 9, -15);
  const Bytes zlib_second = compress(second, 6, 15);
  Bytes image = noise(random, 100);
  const auto put = [&](ByteSpan bytes) {
    const StreamPiece piece{image.size(), static_cast<std::uint32_t>(bytes.size())};
    image.insert(image.end(), bytes.begin(), bytes.end());
    return piece;
  };
  // The second stream's end stands before its beginning, next to the first one.
  const StreamPiece end = put(ByteSpan(zlib_second).subspan(20));
  const StreamPiece whole = put(raw_first);
  put(noise(random, 10));
  const StreamPiece begin = put(ByteSpan(zlib_second).first(20));
  put(noise(random, 7));
  StreamList streams;
  streams.add(stream_of(5000), std::vector<StreamPiece>{whole});
  Stream of_zlib = stream_of(300);
  of_zlib.form = StreamForm::kZlib;
  streams.add(of_zlib, std::vector<StreamPiece>{begin, end});
  Bytes expected(image.begin(), image.begin() + 100);
  const auto append = [&](ByteSpan bytes) {
    expected.insert(expected.end(), bytes.begin(), bytes.end());
  };
  append(first);
  append(ByteSpan(image).subspan(whole.end(), 10));
  append(second);
  append(ByteSpan(image).last(7));

  const ViewLayout layout = ViewLayout::create(image.size(), streams).value();
  REQUIRE(layout.view_bytes() == expected.size());
  CHECK(layout.view_offset(whole.end()) == 5100);
  CHECK(layout.view_offset(image.size()) == expected.size());
  TextCache cache;
  const MemoryFile file(image);
  const ImageView view(file, streams, layout, cache);
  for (int i = 0; i < 500; ++i) {
    const std::size_t from = random() % (expected.size() + 1);
    Bytes out(std::min<std::size_t>(random() % 600, expected.size() - from));
    REQUIRE(view.read_at(from, out));
    CHECK(std::equal(out.begin(), out.end(), expected.begin() + static_cast<std::ptrdiff_t>(from)));
  }
  Bytes beyond(8);
  CHECK_FALSE(view.read_at(expected.size() - 7, beyond));
}

TEST_CASE("a head refuses inner streams in two chunks, and chunks with too much in a view") {
  // The first chunk's view ends at 500, or with the second stream at 507.
  CHECK(head_with(nested_sample(), {300, 200}));
  CHECK(head_with(nested_sample(), {181, 200}));
  CHECK(head_with(nested_sample(), {100, 200}).error().code() == ErrorCode::kBadPayload);
  StreamTable outside = nested_sample();
  outside.inner_base.add(stream_of(5), std::vector<StreamPiece>{{3000, 2}});
  CHECK(head_with(outside, {300}).error().code() == ErrorCode::kBadPayload);
  StreamTable overlapping = nested_sample();
  overlapping.inner_target.add(stream_of(5), std::vector<StreamPiece>{{509, 2}});
  CHECK(head_with(overlapping, {300}).error().code() == ErrorCode::kBadPayload);
  StreamTable long_view = sample();
  for (std::uint64_t i = 0; i < 3; ++i)
    long_view.inner_target.add(stream_of(kStreamTextBytesMax),
                               std::vector<StreamPiece>{{i * 50, 40}});
  CHECK(head_with(long_view, {300}).error().code() == ErrorCode::kTooLarge);
}

TEST_CASE("a view shows texts within texts, and counts what reading them takes") {
  Random random(3);
  const Bytes text = prose(random, 3000);
  const Bytes inner = compress(text, 9, -15);
  // The inner stream begins in the text of one stream, goes on in the image and ends in another
  // text.
  const ByteSpan parts[] = {ByteSpan(inner).first(200), ByteSpan(inner).subspan(200, 100),
                            ByteSpan(inner).subspan(300)};
  const Bytes noise_before = noise(random, 50);
  Bytes first = noise_before;
  first.insert(first.end(), parts[0].begin(), parts[0].end());
  Bytes second(parts[2].begin(), parts[2].end());
  second.insert(second.end(), noise_before.begin(), noise_before.end());
  const Bytes streams[] = {compress(first, 9, -15), compress(second, 9, -15)};
  Bytes image = streams[0];
  image.insert(image.end(), parts[1].begin(), parts[1].end());
  image.insert(image.end(), streams[1].begin(), streams[1].end());
  const auto length = [](const auto& bytes) { return static_cast<std::uint32_t>(bytes.size()); };
  StreamTable table;
  table.base.add(stream_of(length(first)), std::vector<StreamPiece>{{0, length(streams[0])}});
  table.base.add(stream_of(length(second)),
                 std::vector<StreamPiece>{{streams[0].size() + 100, length(streams[1])}});
  table.inner_base.add(stream_of(3000), std::vector<StreamPiece>{{50, length(inner)}});
  Bytes expected = noise_before;
  expected.insert(expected.end(), text.begin(), text.end());
  expected.insert(expected.end(), noise_before.begin(), noise_before.end());

  const auto layers = ViewLayers::create(image.size(), table.base, table.inner_base).value();
  REQUIRE(layers.view_bytes() == expected.size());
  TextCache cache;
  cache.begin_chunk(kMiB);
  const MemoryFile file(image);
  const ImageView outer(file, table.base, layers.outer, cache);
  const ImageView view(outer, table.inner_base, layers.inner, cache, Layer::kInner);
  Bytes out(10);
  REQUIRE(view.read_at(1000, out));
  const auto cost = [&](const Stream& stream) {
    return kTouchedCost + kExpandedCost + kPieceCost + stream.bytes + stream.text_bytes;
  };
  const std::uint64_t first_read =
      cost(table.base[0]) + cost(table.base[1]) + cost(table.inner_base[0]);
  CHECK(cache.cost() == first_read);
  REQUIRE(view.read_at(2000, out));
  CHECK(cache.cost() == first_read + kTouchedCost);
  for (int i = 0; i < 500; ++i) {
    const std::size_t from = random() % (expected.size() + 1);
    out.resize(std::min<std::size_t>(random() % 600, expected.size() - from));
    REQUIRE(view.read_at(from, out));
    CHECK(std::equal(out.begin(), out.end(), expected.begin() + static_cast<std::ptrdiff_t>(from)));
  }
  // The encoder reckons the same.
  const ViewLayers target(ViewLayout(100));
  CopyList copies{{0, 1000, 100}};
  CHECK(keep_within_read_cost({table, layers, target}, {0, 100, 0, 100}, copies) == 0);
}

TEST_CASE("a text of another length than listed, and too much work, are refused") {
  Random random(2);
  const Bytes text = prose(random, 50'000);
  Bytes image = compress(text, 9, -15);
  const auto read = [&](std::uint32_t text_bytes, std::uint32_t stream_bytes) {
    StreamList streams;
    streams.add(stream_of(text_bytes), std::vector<StreamPiece>{{0, stream_bytes}});
    TextCache cache;
    const auto expanded = cache.text(MemoryFile(image), streams, 0);
    return expanded ? ErrorCode::kEncoderDefect : expanded.error().code();
  };
  const auto size = static_cast<std::uint32_t>(image.size());
  CHECK(read(50'000, size) == ErrorCode::kEncoderDefect);  // the one that is right
  CHECK(read(49'999, size) == ErrorCode::kBadPayload);
  CHECK(read(50'001, size) == ErrorCode::kBadPayload);
  CHECK(read(50'000, size - 1) == ErrorCode::kBadPayload);
  CHECK(read(1, size) == ErrorCode::kBadPayload);
  image.push_back(0);
  CHECK(read(50'000, size + 1) == ErrorCode::kBadPayload);
}

TEST_CASE("what a chunk may cost by reading texts is bounded by its view, hits included") {
  const Bytes zeros(kStreamTextBytesMax, 0);
  const Bytes bomb = compress(zeros, 9, -15);
  const MemoryFile file(bomb);
  StreamList streams;
  for (int i = 0; i < 2; ++i)
    streams.add(stream_of(kStreamTextBytesMax),
                std::vector<StreamPiece>{{0, static_cast<std::uint32_t>(bomb.size())}});
  TextCache cache;
  const auto count = [&](std::uint64_t view_bytes, std::uint32_t different) {
    cache.begin_chunk(view_bytes);
    std::uint64_t reads = 0;
    while (cache.text(file, streams, static_cast<std::uint32_t>(reads % different))) ++reads;
    return reads;
  };
  // Two texts that are never in the cache together; one that is there.
  const std::uint64_t expanded =
      kTouchedCost + kExpandedCost + kPieceCost + kStreamTextBytesMax + bomb.size();
  CHECK(count(0, 2) == kReadCostBesides / expanded);
  CHECK(count(kMiB, 2) == (kReadCostBesides + kMiB * kReadCostPerByte) / expanded);
  CHECK(count(1000, 1) ==
        (kReadCostBesides + 1000 * kReadCostPerByte - expanded + kTouchedCost) / kTouchedCost);
  cache.begin_chunk(0);
  CHECK(cache.text(file, streams, 0));
}

TEST_CASE("a thousand short texts are kept, those read last") {
  const Bytes stream = compress(Bytes{'a'}, 9, -15);
  StreamList streams;
  Bytes image;
  for (std::size_t i = 0; i < TextCache::kTextsMax + 1; ++i) {
    streams.add(stream_of(1), std::vector<StreamPiece>{
                                  {image.size(), static_cast<std::uint32_t>(stream.size())}});
    image.insert(image.end(), stream.begin(), stream.end());
  }
  const MemoryFile file(image);
  TextCache cache;
  cache.begin_chunk(kMiB);
  const auto cost_of = [&](std::uint32_t index) {
    const std::uint64_t before = cache.cost();
    REQUIRE(cache.text(file, streams, index).value()[0] == 'a');
    return cache.cost() - before;
  };
  for (std::uint32_t i = 0; i < TextCache::kTextsMax; ++i) CHECK(cost_of(i) > kTouchedCost);
  CHECK(cost_of(0) == kTouchedCost);
  CHECK(cost_of(TextCache::kTextsMax) > kTouchedCost);
  CHECK(cost_of(0) == kTouchedCost);  // was read since
  CHECK(cost_of(1) > kTouchedCost);
}

TEST_CASE("copies that jump among more texts than are kept are left out, the dearest first") {
  StreamTable table;
  for (std::uint64_t i = 0; i < 40; ++i)
    table.base.add(stream_of(128 * kKiB), std::vector<StreamPiece>{{i * 50'000, 50'000}});
  const ViewLayout base = ViewLayout::create(2'000'000, table.base).value();
  const ViewLayout target(2 * kMiB);
  const ChunkSpan chunk{0, 2 * kMiB, 0, 2 * kMiB};
  CopyList copies;
  for (std::uint64_t i = 0; i < 20'000; ++i)
    copies.push_back({i * 100, (i * 7 % 40) * 128 * kKiB + 5000, i % 100 == 0 ? 99u : 70u});
  const CopyList all = copies;
  const std::size_t gone = keep_within_read_cost({table, base, target}, chunk, copies);
  CHECK(gone + copies.size() == all.size());
  CHECK(gone > 10'000);
  CHECK(copies.size() > 1000);
  CHECK(std::count_if(copies.begin(), copies.end(), [](const Copy& c) { return c.bytes == 99; }) ==
        200);
  TextCache cache;
  cache.begin_chunk(chunk.view_bytes());
  for (const Copy& copy : copies)
    REQUIRE(cache.touch(table.base, static_cast<std::uint32_t>(copy.source_offset / (128 * kKiB))));
  CopyList few(all.begin(), all.begin() + 500);
  CHECK(keep_within_read_cost({table, base, target}, chunk, few) == 0);
}

TEST_CASE("a text is not expanded for a few bytes that would be as well new") {
  StreamTable table;
  for (std::uint64_t i = 0; i < 40; ++i)
    table.base.add(stream_of(128 * kKiB), std::vector<StreamPiece>{{i * 50'000, 50'000}});
  const ViewLayout base = ViewLayout::create(2'000'000, table.base).value();
  const ViewLayout target(2 * kMiB);
  CopyList copies;
  for (std::uint64_t i = 0; i < 10; ++i) copies.push_back({i * 100, i * 1000, 20});
  const CopyList kept = copies;  // one text for all of them
  copies.push_back({1000, 5 * 128 * kKiB, 20});
  CHECK(keep_within_read_cost({table, base, target}, {0, 2 * kMiB, 0, 2 * kMiB}, copies) == 1);
  REQUIRE(copies.size() == kept.size());
  CHECK(copies.back().target_offset == kept.back().target_offset);
}

TEST_CASE("chunks end between streams, and what no chunk can hold is left out") {
  std::vector<FoundStream> streams;
  const auto add = [&](std::vector<StreamPiece> pieces, std::uint32_t text_bytes) {
    streams.push_back({StreamForm::kDeflate, std::move(pieces), text_bytes});
  };
  add({{100, 100}}, 5000);  // longer than a chunk
  add({{1000, 100}}, 600);
  add({{1150, 10}, {9000, 10}}, 20);  // pieces too far apart
  add({{1900, 200}}, 300);            // across an even end
  add({{3000, 10}, {3020, 10}}, 100);
  const auto [ends, is_dropped] = plan_chunks(10'000, 2000, streams);
  CHECK(is_dropped == std::vector<bool>{true, false, true, false, false});
  streams.erase(streams.begin() + 2);
  streams.erase(streams.begin());
  CHECK(ends.back() == 10'000);
  std::uint64_t begin = 0;
  for (const std::uint64_t end : ends) {
    CHECK(end > begin);
    std::uint64_t view = end - begin;
    for (const FoundStream& stream : streams) {
      const std::uint64_t low = stream.pieces.front().offset;
      const std::uint64_t high = stream.pieces.back().end();
      CHECK((high <= begin || low >= end || (low >= begin && high <= end)));
      if (low >= begin && high <= end) view += stream.text_bytes_max;
    }
    CHECK(view <= 2000 + 320);  // less the streams' own bytes
    begin = end;
  }
  CHECK(plan_chunks(0, 2000, streams).ends.empty());
}
