// The part of a payload's head that lists the streams of base and target that are seen through, and
// how those of the target are made again.
#pragma once

#include "base/result.h"
#include "delta/streams.h"

namespace layby::delta {

struct StreamTable {
  StreamList base;
  StreamList target;
  // Their pieces stand in the views that those above make of base and target.
  StreamList inner_base;
  StreamList inner_target;
  // ZSTD_versionNumber() of the library that makes the target's zstd streams; 0: there are none.
  std::uint32_t zstd_version = 0;
  std::uint32_t xz_version = 0;  // the same for xz, as xz_version()

  bool empty() const { return base.empty() && target.empty() && !has_inner(); }
  bool has_inner() const { return !inner_base.empty() || !inner_target.empty(); }
};

// Packed; empty for an empty table.
Bytes serialise_stream_table(const StreamTable& table);
// kBadPayload for anything that `serialise_stream_table` does not write. Whether the pieces fit the
// images and each other ViewLayout::create() says.
Result<StreamTable> parse_stream_table(ByteSpan bytes);

}  // namespace layby::delta
