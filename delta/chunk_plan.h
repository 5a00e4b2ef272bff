// Where a target is cut into chunks. Encoder only.
#pragma once

#include <cstdint>
#include <vector>

#include "delta/find_streams.h"
#include "delta/view_layout.h"

namespace layby::delta {

// Bytes of the target that a chunk makes, and of the target's view.
struct ChunkSpan {
  std::uint64_t target_begin = 0;
  std::uint64_t target_end = 0;
  std::uint64_t view_begin = 0;
  std::uint64_t view_end = 0;

  std::uint64_t target_bytes() const { return target_end - target_begin; }
  std::uint64_t view_bytes() const { return view_end - view_begin; }
};

struct ChunkPlan {
  std::vector<std::uint64_t> ends;  // in order; none for an empty target
  // Of the streams: whether no chunk can hold it whole. Those are the ones with too long a text,
  // and the cheapest of those whose pieces stand too far apart.
  std::vector<bool> is_dropped;
};

// Chunks of at most `chunk_bytes` of target and of view. Each stream's text has `text_bytes_max`
// bytes. Streams may share pieces: all that a text has more than its pieces counts.
ChunkPlan plan_chunks(std::uint64_t target_bytes, std::uint64_t chunk_bytes,
                      const std::vector<FoundStream>& streams);

std::vector<ChunkSpan> chunk_spans(const std::vector<std::uint64_t>& ends,
                                   const ViewLayers& target_view);

}  // namespace layby::delta
