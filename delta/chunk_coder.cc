#include "delta/chunk_coder.h"

#include "base/assert.h"
#include "delta/mixed.h"
#include "delta/zstd_columns.h"

namespace layby::delta {

Bytes encode_chunk(CoderId coder, const ChunkSource& source, const AddressTable& addresses,
                   const CopyList& copies, Effort effort) {
  Bytes chunk;
  switch (coder) {
    case CoderId::kZstdColumns: chunk = encode_zstd_columns(source, copies, effort); break;
    case CoderId::kMixed: chunk = encode_mixed(source, addresses, copies); break;
  }
  LAYBY_ASSERT(!chunk.empty() && chunk.size() <= kChunkPayloadBytesMax);
  return chunk;
}

std::unique_ptr<ChunkDecoder> make_chunk_decoder(CoderId coder, const AddressTable& addresses) {
  switch (coder) {
    case CoderId::kZstdColumns: return make_zstd_columns_decoder();
    case CoderId::kMixed: return make_mixed_decoder(addresses);
  }
  return nullptr;
}

}  // namespace layby::delta
