// Chooses the streams that a payload sees through: those that changed, and of the target's those
// that can be made again bit for bit. Encoder only.
#pragma once

#include <stop_token>

#include "delta/find_streams.h"
#include "delta/stream_table.h"
#include "delta/view_layout.h"

namespace layby::delta {

struct StreamChoice {
  StreamTable table;
  std::vector<std::uint64_t> chunk_ends;  // of the target
  // Streams of the target that could be made again and are left because a payload, or a chunk of
  // it, cannot hold so many.
  std::size_t left_out = 0;
};

// Where there are too many the longest stay. Looking for recipes ends for 64 neighbours together
// when they took too much work. Streams that both images have unchanged are left as they are:
// copied they cost least. Without a stream of the target that can be made again there are none of
// the base either. Whatever there is, chunks have at most `chunk_bytes` of target and of view. Once
// `stop` is requested it returns soon, with whatever.
StreamChoice choose_streams(ByteSpan base, ByteSpan target, std::uint64_t chunk_bytes,
                            unsigned threads, std::stop_token stop);

// Images, and the views that the streams of a choice make of them.
struct SeenImages {
  ByteSpan base;
  ByteSpan base_view;
  ByteSpan target;
  ByteSpan target_view;
};
// Adds to choose_streams()'s choice the streams that stand within streams, and plans its chunks
// anew. Where one of the outer ones would have to go for that, or chunks become more than a payload
// has, it leaves all as it was.
void add_inner_streams(const SeenImages& images, std::uint64_t chunk_bytes, unsigned threads,
                       std::stop_token stop, StreamChoice& choice);

// Fills `view` with the view of an image: `streams` are such as choose_streams() found there.
void make_view(ByteSpan image, const StreamList& streams, const ViewLayout& layout,
               unsigned threads, MutableByteSpan view);

}  // namespace layby::delta
