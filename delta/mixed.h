// CoderId::kMixed: the smallest payloads. Copies whose bytes are first predicted, addresses in
// executables included, and everything else by mixed contexts.
#pragma once

#include "delta/address_table.h"
#include "delta/chunk_coder.h"

namespace layby::delta {

Bytes encode_mixed(const ChunkSource& source, const AddressTable& addresses,
                   const CopyList& copies);
// `addresses` must outlive it.
std::unique_ptr<ChunkDecoder> make_mixed_decoder(const AddressTable& addresses);

}  // namespace layby::delta
