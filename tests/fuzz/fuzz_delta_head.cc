// Heads of payloads: what is accepted is written again as the very same bytes, but for
// tables, which may be packed in more ways than one.
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
  const bool has_table = !head->addresses().modules.empty() || !head->streams().empty();
  PayloadHeadBuilder builder(head->coder(), head->chunk_target_bytes_max(), head->chunk_count(),
                             head->addresses(), head->streams());
  builder.set_target(head->target_bytes(), head->target_sha256());
  if (head->base()) builder.set_base(*head->base());
  for (const ChunkEntry& chunk : head->chunks()) {
    const std::uint64_t at = builder.add_chunk(chunk.target_bytes, chunk.payload_bytes,
                                               chunk.payload_digest, chunk.target_digest);
    LAYBY_ASSERT(has_table || at == chunk.payload_offset);
  }
  const Bytes again = builder.serialise();
  if (has_table)
    LAYBY_ASSERT(parse_head(again));
  else
    LAYBY_ASSERT(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  return 0;
}
