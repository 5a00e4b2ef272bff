// Heads of payloads: what is accepted is written again as the very same bytes.
#include <algorithm>

#include "base/assert.h"
#include "delta/payload.h"

using namespace layby;
using namespace layby::delta;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  const auto head = parse_head(bytes);
  if (!head) return 0;
  LAYBY_ASSERT(head->head_bytes() == size && head_length(bytes).value() == size);
  PayloadHeadBuilder builder(head->coder(), head->chunk_target_bytes_max(), head->chunk_count());
  builder.set_target(head->target_bytes(), head->target_sha256());
  if (head->base()) builder.set_base(*head->base());
  for (const ChunkEntry& chunk : head->chunks())
    LAYBY_ASSERT(builder.add_chunk(chunk.target_bytes, chunk.payload_bytes, chunk.payload_digest,
                                   chunk.target_digest) == chunk.payload_offset);
  const Bytes again = builder.serialise();
  LAYBY_ASSERT(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  return 0;
}
