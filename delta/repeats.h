// The second base: target bytes that are already written. Encoder only.
#pragma once

#include <span>
#include <stop_token>
#include <vector>

#include "base/bytes.h"
#include "delta/copy.h"

namespace layby::delta {

struct RepeatSource {
  ByteSpan target;  // its view, like all that follows
  // The images that `copies` were found in: what differs between them costs payload bytes.
  ByteSpan match_base;
  ByteSpan match_target;
  bool has_addresses = false;  // then most differences are addresses, which are cheap
  std::span<const std::uint64_t> chunk_ends;
};

// Puts copies of earlier target bytes among `copies`, which are of the base and in order, wherever
// they are cheaper than what stands there. None crosses the end of a chunk or reaches into itself.
void add_repeats(const RepeatSource& source, CopyList& copies, std::stop_token stop);

// Memory that its table takes at most.
constexpr std::uint64_t kRepeatTableBytes = std::uint64_t{128} * 1024 * 1024;

}  // namespace layby::delta
