// CoderId::kMixed: the smallest payloads. Copies whose bytes are first predicted, addresses in
// executables included, and everything else by mixed contexts.
#pragma once

#include "delta/address_table.h"
#include "delta/chunk_coder.h"

namespace layby::delta {

// How a chunk of CoderId::kMixed is spelt: its first byte. Values are part of the format.
enum class ChunkForm : std::uint8_t {
  kBits = 0,     // as in mixed_chunk.h
  kColumns = 1,  // as a chunk of CoderId::kZstdColumns, where that is no larger
};

Bytes encode_mixed(const ChunkSource& source, const AddressTable& addresses,
                   const CopyList& copies);
// `addresses` must outlive it.
std::unique_ptr<ChunkDecoder> make_mixed_decoder(const AddressTable& addresses);

}  // namespace layby::delta
