// Encoder and applier together.
#include <catch2/catch.hpp>

#include "base/limits.h"
#include "delta/applier.h"
#include "delta/encoder.h"
#include "tests/delta/memory_file.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;

namespace {

EncodeOptions small_chunks(std::uint32_t bytes = 4096) {
  EncodeOptions options;
  options.chunk_target_bytes = bytes;
  return options;
}

Bytes payload_of(const Bytes* base, const Bytes& target, const EncodeOptions& options,
                 EncodeReport* report = nullptr) {
  const MemoryFile base_file(base != nullptr ? *base : Bytes{});
  const MemoryFile target_file(target);
  MemoryFile output;
  const auto made = encode(base != nullptr ? &base_file : nullptr, target_file, options, output);
  INFO((made ? std::string() : made.error().message()));
  REQUIRE(made);
  CHECK(made->payload_bytes == output.bytes.size());
  CHECK(made->payload_sha256 == crypto::sha256(output.bytes));
  CHECK(made->head_sha256 == crypto::sha256(ByteSpan(output.bytes).first(made->head_bytes)));
  if (report != nullptr) *report = *made;
  return output.bytes;
}

// What applying makes; checks nothing by itself.
Bytes applied(const Bytes& payload, const Bytes* base) {
  const MemoryFile base_file(base != nullptr ? *base : Bytes{});
  MemoryFile target;
  const auto done =
      apply_payload(MemoryFile(payload), base != nullptr ? &base_file : nullptr, target);
  INFO((done ? std::string() : done.error().message()));
  REQUIRE(done);
  return target.bytes;
}

Result<void> apply_one(const Bytes& payload, std::uint32_t index, const ReadAt* base,
                       File& target) {
  const PayloadHead head = read_head(MemoryFile(payload)).value();
  Applier applier = TRY(Applier::open(head, base));
  const ChunkEntry& chunk = head.chunk(index);
  return applier.apply_chunk(
      index, ByteSpan(payload).subspan(chunk.payload_offset, chunk.payload_bytes), target);
}

Bytes fixture(const std::string& name) {
  RealDisk disk;
  return read_file(disk, LAYBY_FIXTURES_DIR "/delta/" + name, kMiB).value();
}

}  // namespace

TEST_CASE("what is encoded and applied is the target again") {
  Random random(1);
  const Bytes one{42};
  const Bytes other{43};
  const Bytes text = prose(random, 100'000);
  const Bytes random_bytes = noise(random, 50'000);
  const Bytes zeros(70'000, 0);
  Bytes longer = text;
  longer.insert(longer.end(), text.begin(), text.end());
  const Bytes half(text.begin(), text.begin() + 50'000);
  const Bytes exact(text.begin(), text.begin() + 4096 * 3);
  const Bytes contents[] = {{}, one, other, text, random_bytes, zeros, longer, half, exact};
  for (const Bytes& base : contents)
    for (const Bytes& target : contents) {
      const Bytes payload = payload_of(&base, target, small_chunks());
      CHECK(applied(payload, &base) == target);
    }
  for (const Bytes& target : contents)
    for (const std::uint32_t chunk : {1024u, 4096u, kChunkTargetBytesMax})
      CHECK(applied(payload_of(nullptr, target, small_chunks(chunk)), nullptr) == target);
}

TEST_CASE("later versions of generated files round-trip for many seeds, in both profiles") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    INFO("seed " << seed);
    const Bytes base = seed % 3 == 0   ? noise(random, 1 + random() % 60'000)
                       : seed % 3 == 1 ? prose(random, 1 + random() % 60'000)
                                       : Bytes(1 + random() % 60'000, 7);
    const Bytes target = later_version(random, base, static_cast<int>(random() % 60));
    EncodeOptions options = small_chunks(1024u + static_cast<std::uint32_t>(random() % 20'000));
    options.profile = seed % 2 == 0 ? Profile::kFast : Profile::kSmall;
    options.effort = seed / 2 % 2 == 0 ? Effort::kQuick : Effort::kThorough;
    CHECK(applied(payload_of(&base, target, options), &base) == target);
  }
}

TEST_CASE("pieces of an executable and of a map database cost a fraction of their size") {
  struct Case {
    const char* name;
    double most;  // payload bytes for each byte of the full image's payload
  };
  for (const Case& c : {Case{"node", 0.05}, Case{"map-sqlite", 0.40}}) {
    INFO(c.name);
    const Bytes base = fixture(std::string(c.name) + ".old");
    const Bytes target = fixture(std::string(c.name) + ".new");
    const Bytes delta = payload_of(&base, target, {});
    CHECK(applied(delta, &base) == target);
    const Bytes full = payload_of(nullptr, target, {});
    CHECK(static_cast<double>(delta.size()) < c.most * static_cast<double>(full.size()));
  }
}

TEST_CASE("a target that equals its base costs next to nothing beyond the head") {
  Random random(5);
  const Bytes base = noise(random, 200'000);
  EncodeReport report;
  const Bytes payload = payload_of(&base, base, small_chunks(65'536), &report);
  CHECK(payload.size() < report.head_bytes + report.chunk_count * 32);
  CHECK(report.copied_bytes == base.size());
  CHECK(report.changed_bytes == 0);
}

TEST_CASE("contents that do not compress are stored with little around them") {
  Random random(6);
  const Bytes target = noise(random, 200'000);
  CHECK(payload_of(nullptr, target, small_chunks(65'536)).size() <
        target.size() + 4 * (72 + 64) + 112);
}

TEST_CASE("new data repeated across chunks is stored once: a chunk sees the bytes before it") {
  Random random(7);
  const Bytes piece = noise(random, 100'000);
  Bytes target = piece;
  target.insert(target.end(), piece.begin(), piece.end());
  const Bytes payload = payload_of(nullptr, target, small_chunks(100'000));
  CHECK(payload.size() < 102'000);
  CHECK(applied(payload, nullptr) == target);
}

// Against 3 MiB of history there is no room for it; against 2 the chunk does not find what it
// repeats, and has grown so much that there is none for those either.
TEST_CASE("a chunk that outgrows its history with every MiB less does without") {
  Random random(8);
  Bytes target = noise(random, 4 * kMiB);
  const Bytes repeated(target.begin() + kMiB, target.begin() + 2 * kMiB);
  target.insert(target.end(), repeated.begin(), repeated.end());
  target.resize(6 * kMiB);
  const Bytes last = noise(random, 2 * kMiB);
  target.insert(target.end(), last.begin(), last.end());
  const Bytes payload = payload_of(nullptr, target, small_chunks(4 * kMiB));
  CHECK(applied(payload, nullptr) == target);
}

TEST_CASE("applying stops after any chunk and goes on in another applier") {
  Random random(8);
  const Bytes base = prose(random, 150'000);
  Bytes target = later_version(random, base, 50);
  const Bytes fresh = noise(random, 80'000);
  target.insert(target.end(), fresh.begin(), fresh.end());
  target.insert(target.end(), fresh.begin(), fresh.end());
  const MemoryFile base_file(base);
  for (const Bytes& payload : {payload_of(&base, target, small_chunks(80'000)),
                               payload_of(nullptr, target, small_chunks(80'000))}) {
    const PayloadHead head = read_head(MemoryFile(payload)).value();
    const ReadAt* with = head.base() ? &base_file : nullptr;
    MemoryFile file;
    for (std::uint32_t i = 0; i < head.chunk_count(); ++i) {
      CHECK(check_chunk(head, i, file).error().code() == ErrorCode::kWrongChunk);
      REQUIRE(apply_one(payload, i, with, file));
      CHECK(check_chunk(head, i, file));
      REQUIRE(apply_one(payload, i, with, file));  // a chunk that is done again
    }
    CHECK(file.bytes == target);
    CHECK(check_target(head, file));
    file.bytes[target.size() / 2] ^= 1;
    CHECK(check_target(head, file).error().code() == ErrorCode::kCorrupt);
  }
}

TEST_CASE("a flipped byte in any chunk is named, and nothing of the chunk is written") {
  Random random(9);
  const Bytes base = prose(random, 60'000);
  const Bytes target = later_version(random, base, 30);
  const MemoryFile base_file(base);
  const Bytes payload = payload_of(&base, target, small_chunks(8192));
  const PayloadHead head = read_head(MemoryFile(payload)).value();
  MemoryFile file;
  for (std::uint32_t i = 0; i < head.chunk_count(); ++i) {
    Bytes damaged = payload;
    damaged[head.chunk(i).payload_offset + random() % head.chunk(i).payload_bytes] ^= 0x10;
    const Bytes before = file.bytes;
    const auto refused = apply_one(damaged, i, &base_file, file);
    REQUIRE(!refused);
    CHECK(refused.error().code() == ErrorCode::kWrongChunk);
    CHECK(refused.error().message().find(fmt::format("chunk {} ", i)) != std::string::npos);
    CHECK(file.bytes == before);
    REQUIRE(apply_one(payload, i, &base_file, file));
  }
}

TEST_CASE("a wrong base is known before anything is written") {
  Random random(10);
  const Bytes base = prose(random, 20'000);
  const Bytes target = later_version(random, base, 5);
  const Bytes payload = payload_of(&base, target, {});
  const PayloadHead head = read_head(MemoryFile(payload)).value();
  Bytes changed = base;
  changed[777] ^= 1;
  const Bytes shorter(base.begin(), base.end() - 1);
  CHECK(check_base(head, MemoryFile(base)));
  for (const Bytes& wrong : {changed, shorter}) {
    const MemoryFile wrong_file(wrong);
    CHECK(check_base(head, wrong_file).error().code() == ErrorCode::kWrongBase);
    MemoryFile file;
    CHECK(apply_payload(MemoryFile(payload), &wrong_file, file).error().code() ==
          ErrorCode::kWrongBase);
    CHECK(file.bytes.empty());
  }
  MemoryFile file;
  CHECK(apply_payload(MemoryFile(payload), nullptr, file).error().code() == ErrorCode::kWrongBase);
  const Bytes full = payload_of(nullptr, target, {});
  const MemoryFile base_file(base);
  CHECK(apply_payload(MemoryFile(full), &base_file, file).error().code() == ErrorCode::kWrongBase);
}

TEST_CASE("a base that changes after its check is caught by the digest of the target bytes") {
  Random random(11);
  Bytes base = noise(random, 20'000);
  const Bytes payload = payload_of(&base, base, {});
  base[5000] ^= 1;
  const MemoryFile changed(base);
  MemoryFile file;
  CHECK(apply_one(payload, 0, &changed, file).error().code() == ErrorCode::kBadPayload);
  CHECK(file.bytes.empty());
}

TEST_CASE("the encoder publishes nothing that the medium changed behind its back") {
  // A medium that loses one bit of what is written to it.
  class Forgetful final : public MemoryFile {
   public:
    explicit Forgetful(std::size_t at) : at_(at) {}
    Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
      TRY_VOID(MemoryFile::read_at(offset, out));
      if (at_ >= offset && at_ < offset + out.size()) out[at_ - offset] ^= 1;
      return {};
    }

   private:
    std::size_t at_;
  };
  Random random(12);
  const Bytes base = prose(random, 20'000);
  const Bytes target = later_version(random, base, 20);
  const std::size_t size = payload_of(&base, target, {}).size();
  for (std::size_t at = 0; at < size; at += 97) {
    Forgetful output(at);
    const auto made =
        encode(std::make_unique<MemoryFile>(base).get(), MemoryFile(target), {}, output);
    REQUIRE(!made);
    CHECK(made.error().code() == ErrorCode::kEncoderDefect);
  }
}

TEST_CASE("a target that changes while it is encoded is no target") {
  class Restless final : public MemoryFile {
   public:
    using MemoryFile::MemoryFile;
    Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
      TRY_VOID(MemoryFile::read_at(offset, out));
      if (++reads_ > 1 && !out.empty()) out[0] ^= 1;
      return {};
    }

   private:
    mutable int reads_ = 0;
  };
  Random random(13);
  const MemoryFile base(prose(random, 20'000));
  const Restless target(base.bytes);
  MemoryFile output;
  CHECK(encode(&base, target, {}, output).error().code() == ErrorCode::kEncoderDefect);
}

TEST_CASE("an output that fills up ends the encoding with its error, whatever chunk it is at") {
  // A medium with so much room.
  class Small final : public MemoryFile {
   public:
    explicit Small(std::size_t room) : room_(room) {}
    Result<void> write_at(std::uint64_t offset, ByteSpan from) override {
      if (offset + from.size() > room_) return fail(ErrorCode::kDiskFull, "no space left");
      return MemoryFile::write_at(offset, from);
    }

   private:
    std::size_t room_;
  };
  Random random(15);
  const MemoryFile base(noise(random, 200'000));
  const MemoryFile target(later_version(random, noise(random, 200'000), 10));
  const Bytes payload = payload_of(&base.bytes, target.bytes, small_chunks());
  for (std::size_t room = 0; room < target.bytes.size(); room += target.bytes.size() / 20) {
    Small output(room);
    CHECK(encode(&base, target, small_chunks(), output).error().code() == ErrorCode::kDiskFull);
    // And applying: what was written stays, and it goes on once there is room.
    Small image(room);
    const auto applied_in_part = apply_payload(MemoryFile(payload), &base, image);
    REQUIRE(!applied_in_part);
    CHECK(applied_in_part.error().code() == ErrorCode::kDiskFull);
    MemoryFile roomier(image.bytes);
    for (std::uint32_t i = 0; i < read_head(MemoryFile(payload))->chunk_count(); ++i)
      if (!check_chunk(read_head(MemoryFile(payload)).value(), i, roomier))
        REQUIRE(apply_one(payload, i, &base, roomier));
    CHECK(roomier.bytes == target.bytes);
  }
}

TEST_CASE("the same base and target make the same payload, whichever thread comes first") {
  Random random(16);
  const MemoryFile base(prose(random, 400'000));
  const MemoryFile target(later_version(random, base.bytes, 400));
  const Bytes first = payload_of(&base.bytes, target.bytes, small_chunks(1024));
  for (int i = 0; i < 5; ++i)
    CHECK(payload_of(&base.bytes, target.bytes, small_chunks(1024)) == first);
}

TEST_CASE("the payload is the same, byte for byte, however many threads make it") {
  Random random(15);
  const Bytes base = prose(random, 120'000);
  const Bytes target = later_version(random, base, 200);
  for (const Bytes* from : {&base, static_cast<const Bytes*>(nullptr)}) {
    EncodeOptions one = small_chunks();
    one.threads = 1;
    EncodeReport report;
    const Bytes alone = payload_of(from, target, one, &report);
    REQUIRE(report.chunk_count > 16);
    for (const unsigned threads : {0u, 2u, 5u, 16u, 1000u}) {
      EncodeOptions several = small_chunks();
      several.threads = threads;
      CHECK(payload_of(from, target, several) == alone);
    }
    // Memory for one thread is memory enough, and does not make the search coarser either.
    EncodeOptions tight = small_chunks();
    tight.memory_bytes_max = 140 * kMiB;
    CHECK(payload_of(from, target, tight) == alone);
  }
}

TEST_CASE("encoding can be stopped, is bounded in memory, and says what it needs") {
  Random random(14);
  const MemoryFile base(prose(random, 300'000));
  const MemoryFile target(later_version(random, base.bytes, 100));
  std::stop_source source;
  source.request_stop();
  EncodeOptions stopped;
  stopped.stop = source.get_token();
  MemoryFile output;
  CHECK(encode(&base, target, stopped, output).error().code() == ErrorCode::kCancelled);

  EncodeOptions tight;
  tight.memory_bytes_max = 100 * kMiB;  // less than one thread needs
  CHECK(encode(&base, target, tight, output).error().code() == ErrorCode::kTooLarge);

  EncodeOptions fast;
  fast.profile = Profile::kFast;
  fast.effort = Effort::kQuick;
  const auto coarse = encode(&base, target, fast, output);
  REQUIRE(coarse);
  CHECK(coarse->search == EncodeReport::Search::kBlocks);
  CHECK(encode(&base, target, {}, output).error().code() == ErrorCode::kInvalidArgument);

  for (const std::uint32_t bytes : {0u, 1023u, kChunkTargetBytesMax + 1}) {
    MemoryFile unused;
    CHECK(encode(&base, target, small_chunks(bytes), unused).error().code() ==
          ErrorCode::kInvalidArgument);
  }
}
