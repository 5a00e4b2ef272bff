// What the copies of a chunk cost the car by texts that it must read and expand (image_view.h), and
// fewer copies where that is too much. Encoder only.
#pragma once

#include "delta/chunk_plan.h"
#include "delta/copy.h"
#include "delta/stream_table.h"
#include "delta/view_layout.h"

namespace layby::delta {

struct SeenViews {
  const StreamTable& streams;
  const ViewLayers& base;
  const ViewLayers& target;
};

// Takes away those of a chunk's copies that cost most for each of their bytes, until the rest costs
// seven eighths of what a reader allows, or less. What mirrored copies read is estimated. Returns
// how many went.
std::size_t keep_within_read_cost(const SeenViews& views, const ChunkSpan& chunk, CopyList& copies);

}  // namespace layby::delta
