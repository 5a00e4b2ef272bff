#include "delta/payload.h"

#include <catch2/catch.hpp>

#include "base/limits.h"
#include "tests/delta/memory_file.h"

using namespace layby;
using namespace layby::delta;

namespace {

// Two chunks of 1000 and 24 target bytes, 10 and 20 bytes in the payload.
Bytes small_head(bool with_base) {
  PayloadHeadBuilder builder(CoderId::kZstdColumns, 1000, 2);
  builder.set_target(1024, crypto::sha256(as_bytes("target")));
  if (with_base) builder.set_base({77, crypto::sha256(as_bytes("base"))});
  builder.add_chunk(1000, 10, crypto::blake2b_256(as_bytes("a")),
                    crypto::blake2b_256(as_bytes("b")));
  builder.add_chunk(24, 20, crypto::blake2b_256(as_bytes("c")), crypto::blake2b_256(as_bytes("d")));
  return builder.serialise();
}

void store_u32(Bytes& bytes, std::size_t at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

ErrorCode code_of(const Bytes& head) {
  const auto parsed = parse_head(head);
  REQUIRE(!parsed);
  return parsed.error().code();
}

}  // namespace

TEST_CASE("a head says what was put into it") {
  const Bytes bytes = small_head(true);
  CHECK(head_length(ByteSpan(bytes).first(kPayloadHeaderBytes)).value() == bytes.size());
  const PayloadHead head = parse_head(bytes).value();
  CHECK(head.head_bytes() == 112 + 2 * 72);
  CHECK(head.payload_bytes() == 112 + 2 * 72 + 30);
  CHECK(head.target_bytes() == 1024);
  CHECK(head.target_sha256() == crypto::sha256(as_bytes("target")));
  REQUIRE(head.base());
  CHECK(head.base()->bytes == 77);
  REQUIRE(head.chunk_count() == 2);
  CHECK(head.chunk(1).target_offset == 1000);
  CHECK(head.chunk(1).target_bytes == 24);
  CHECK(head.chunk(1).payload_offset == head.head_bytes() + 10);
  CHECK(head.chunk(1).payload_bytes == 20);
  CHECK(head.chunk(1).payload_digest == crypto::blake2b_256(as_bytes("c")));
  CHECK(head.chunk(1).target_digest == crypto::blake2b_256(as_bytes("d")));
  CHECK(!parse_head(small_head(false)).value().base());
}

TEST_CASE("a head of the wrong length is refused at every length") {
  const Bytes bytes = small_head(true);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(code_of(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size))) ==
          ErrorCode::kBadPayload);
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK(code_of(longer) == ErrorCode::kBadPayload);
}

TEST_CASE("every field that can contradict another is held against it") {
  struct Case {
    const char* what;
    std::size_t at;
    std::uint32_t value;
    ErrorCode code;
  };
  const Case cases[] = {
      {"magic", 0, 0x594c, ErrorCode::kBadPayload},
      {"version 2, coder and flags kept", 8, 0x01010002, ErrorCode::kUnsupported},
      {"coder 0", 8, 0x01000001, ErrorCode::kUnsupported},
      {"coder 3", 8, 0x01030001, ErrorCode::kUnsupported},
      {"unknown flag", 8, 0x03010001, ErrorCode::kBadPayload},
      {"base named, flag says none", 8, 0x00010001, ErrorCode::kBadPayload},
      {"no chunk size", 12, 0, ErrorCode::kTooLarge},
      {"chunk size above the limit", 12, kChunkTargetBytesMax + 1, ErrorCode::kTooLarge},
      {"chunk larger than the chunk size", 12, 999, ErrorCode::kBadPayload},
      {"target shorter than its chunks", 16, 1023, ErrorCode::kBadPayload},
      {"target longer than its chunks", 16, 1025, ErrorCode::kBadPayload},
      {"target above the limit", 20, 0x7fffffff, ErrorCode::kTooLarge},
      {"base above the limit", 28, 0x7fffffff, ErrorCode::kTooLarge},
      {"payload length", 32, 1, ErrorCode::kBadPayload},
      {"too many chunks", 40, kPayloadChunksMax + 1, ErrorCode::kTooLarge},
      {"more chunks than there are", 40, 3, ErrorCode::kBadPayload},
      {"fewer chunks than there are", 40, 1, ErrorCode::kBadPayload},
      {"an address table for a coder that has none", 44, 1, ErrorCode::kBadPayload},
      {"an empty chunk of target", 112, 0, ErrorCode::kBadPayload},
      {"an empty chunk of payload", 116, 0, ErrorCode::kBadPayload},
      {"a chunk above the limit", 116, kChunkPayloadBytesMax + 1, ErrorCode::kBadPayload},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    Bytes bytes = small_head(true);
    store_u32(bytes, c.at, c.value);
    CHECK(code_of(bytes) == c.code);
  }
}

TEST_CASE("a payload file must be exactly as long as its head says") {
  Bytes bytes = small_head(true);
  bytes.resize(bytes.size() + 30);
  CHECK(read_head(delta::tests::MemoryFile(bytes)));
  for (const std::size_t size : {0u, 5u, 111u, 112u, 200u, 256u, 285u}) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(read_head(delta::tests::MemoryFile(cut)).error().code() == ErrorCode::kBadPayload);
  }
  bytes.push_back(0);
  CHECK(read_head(delta::tests::MemoryFile(bytes)).error().code() == ErrorCode::kBadPayload);
}
