// Chunks under right digests. The first two bytes choose how much target the chunk is to make, the
// others are the chunk. What decodes does so twice alike, and through the applier too.
#include "base/assert.h"
#include "delta/applier.h"
#include "delta/chunk_coder.h"
#include "tests/delta/memory_file.h"

using namespace layby;
using namespace layby::delta;
using layby::delta::tests::MemoryFile;

namespace {

constexpr std::uint32_t kBefore = 1000;  // target bytes before the chunk

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * i >> 5);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  static const MemoryFile base(pattern(20'000));
  static const Bytes before = pattern(kBefore);
  const std::uint32_t made_bytes = 1u + load_u16(data);
  const ByteSpan chunk(data + 2, size - 2);
  const auto decoder = make_chunk_decoder(CoderId::kZstdColumns, AddressTable());
  Bytes made(made_bytes);
  if (!decoder->decode(chunk, &base, MemoryFile(before), kBefore, made)) return 0;
  Bytes again(made_bytes, 0xee);
  LAYBY_ASSERT(decoder->decode(chunk, &base, MemoryFile(before), kBefore, again) && made == again);

  PayloadHeadBuilder builder(CoderId::kZstdColumns, 1 << 17, 2);
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
