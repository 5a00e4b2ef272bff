// Finds borders that the target already has from their other side. Encoder only.
#pragma once

#include <span>
#include <stop_token>

#include "base/bytes.h"
#include "delta/copy.h"

namespace layby::delta {

// Puts mirrored copies (see mirror.h) among `copies`, which are in order, where there were new
// bytes. None crosses an
// end of a chunk.
void add_borders(ByteSpan target, std::span<const std::uint64_t> chunk_ends, CopyList& copies,
                 std::stop_token stop);

// Memory that its table takes at most.
constexpr std::uint64_t kBorderTableBytes = std::uint64_t{64} * 1024 * 1024;

}  // namespace layby::delta
