#include "delta/streams.h"

namespace layby::delta {

void StreamList::add(Stream stream, std::span<const StreamPiece> pieces) {
  stream.pieces_begin = static_cast<std::uint32_t>(pieces_.size());
  stream.pieces_count = static_cast<std::uint32_t>(pieces.size());
  stream.bytes = 0;
  for (const StreamPiece& piece : pieces) stream.bytes += piece.bytes;
  pieces_.insert(pieces_.end(), pieces.begin(), pieces.end());
  streams_.push_back(stream);
}

}  // namespace layby::delta
