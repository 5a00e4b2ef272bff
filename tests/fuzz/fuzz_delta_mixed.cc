// Chunks of CoderId::kMixed under right digests, with a table of addresses that is the fuzzer's
// too. The first two bytes choose how much target the chunk is to make, then come the table's
// numbers, the others are the chunk. What decodes does so twice alike, and through the applier too.
#include "base/assert.h"
#include "delta/applier.h"
#include "delta/chunk_coder.h"
#include "tests/delta/memory_file.h"
#include "tests/fuzz/fuzzed_addresses.h"
#include "tests/fuzz/memory_bytes.h"

using namespace layby;
using namespace layby::delta;
using layby::delta::tests::MemoryFile;
using layby::tests::FuzzedNumbers;
using layby::tests::MemoryBytes;

namespace {

constexpr std::uint32_t kBefore = 1000;  // target bytes before the chunk
constexpr std::uint64_t kBaseBytes = 20'000;

// Calls and loads of what stands in the code around them.
Bytes code_like(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * i >> 5);
  for (std::size_t i = 0; i + 16 < size; i += 16) {
    const bool is_call = i % 32 == 0;
    if (!is_call) out[i] = 0x8d;
    out[i + 1] = is_call ? 0xe8 : 0x05;
    out[i + 2] = static_cast<std::uint8_t>(i >> 4);
    out[i + 3] = static_cast<std::uint8_t>(i >> 9 & 3);
    out[i + 4] = out[i + 5] = 0;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  static const Bytes base_bytes = code_like(kBaseBytes);
  static const Bytes before = code_like(kBefore);
  const MemoryBytes base(base_bytes);
  const std::uint32_t made_bytes = 1u + load_u16(data);
  FuzzedNumbers numbers(data + 2, size - 2);
  const AddressTable table =
      layby::tests::fuzzed_table(numbers, kBaseBytes, std::uint64_t{kBefore} + made_bytes);
  const ByteSpan chunk = numbers.rest();
  if (chunk.empty()) return 0;
  const auto decoder = make_chunk_decoder(CoderId::kMixed, table);
  Bytes made(made_bytes);
  if (!decoder->decode(chunk, &base, MemoryBytes(before), kBefore, made)) return 0;
  Bytes again(made_bytes, 0xee);
  LAYBY_ASSERT(decoder->decode(chunk, &base, MemoryBytes(before), kBefore, again) && made == again);

  PayloadHeadBuilder builder(CoderId::kMixed, 1 << 17, 2, table);
  builder.set_target(kBefore + made_bytes, {});
  builder.set_base({base.size(), {}});
  builder.add_chunk(kBefore, 1, {}, crypto::blake2b_256(before));
  builder.add_chunk(made_bytes, static_cast<std::uint32_t>(chunk.size()),
                    crypto::blake2b_256(chunk), crypto::blake2b_256(made));
  auto head = parse_head(builder.serialise());
  LAYBY_ASSERT(head);
  auto applier = Applier::open(*head, &base);
  MemoryFile target(before);
  LAYBY_ASSERT(applier && applier->apply_chunk(1, chunk, target));
  LAYBY_ASSERT(std::equal(made.begin(), made.end(), target.bytes.begin() + kBefore));
  return 0;
}
