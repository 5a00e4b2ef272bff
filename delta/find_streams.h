// Finds compressed streams inside images of any kind. Encoder only: images come from outside, so
// nothing in one is believed, and all work is bounded by its size.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "delta/view_layout.h"

namespace layby::delta {

// Bytes of an image that look like a stream.
struct FoundStream {
  StreamForm form = StreamForm::kDeflate;
  std::vector<StreamPiece> pieces;
  std::uint32_t text_bytes_max = kStreamTextBytesMax;  // of its text, as far as is known
};

// In order of their first pieces; no two share a byte.
std::vector<FoundStream> find_streams(ByteSpan image);

// Streams within streams: in files of which blocks are streams, or in texts by themselves. Their
// pieces are those of `view`, which `layout` makes of the image.
std::vector<FoundStream> find_inner_streams(ByteSpan image, ByteSpan view,
                                            const ViewLayout& layout);

// The stream's bytes, in order.
Bytes join_pieces(ByteSpan image, std::span<const StreamPiece> pieces);

}  // namespace layby::delta
