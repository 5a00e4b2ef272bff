// The narrow door to the entropy coder: everything outside knows copies and chunks, everything
// behind it how they are spelt. Another coder gets another CoderId and another pair of functions;
// nothing else changes.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/disk.h"
#include "delta/copy.h"
#include "delta/encoder.h"
#include "delta/payload.h"

namespace layby::delta {

// What a chunk is made from, on the encoder's side: everything in memory.
struct ChunkSource {
  ByteSpan base;    // empty without one
  ByteSpan target;  // all of it; a coder may refer to what stands before the chunk
  std::size_t begin = 0;
  std::size_t end = 0;  // of the chunk in the target
};

// The bytes of one chunk, at most kChunkPayloadBytesMax. `copies` cover parts of [begin, end);
// `addresses` are those of the head.
Bytes encode_chunk(CoderId coder, const ChunkSource& source, const AddressTable& addresses,
                   const CopyList& copies, Effort effort);

// Decodes chunks one after the other. It has no memory of earlier chunks, only buffers that it
// keeps; what a chunk says about base and target is read again from there.
class ChunkDecoder {
 public:
  virtual ~ChunkDecoder() = default;
  // Fills all of `out`, the target bytes from `target_offset` on. `base` may be null; `target`
  // holds the bytes before `target_offset`. kBadPayload for any `chunk_bytes` that do not say
  // exactly that many bytes; contents of `out` are then undefined.
  virtual Result<void> decode(ByteSpan chunk_bytes, const ReadAt* base, const ReadAt& target,
                              std::uint64_t target_offset, MutableByteSpan out) = 0;
};

// `addresses` must outlive it.
std::unique_ptr<ChunkDecoder> make_chunk_decoder(CoderId coder, const AddressTable& addresses);

}  // namespace layby::delta
