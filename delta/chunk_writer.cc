#include "delta/chunk_writer.h"

namespace layby::delta {

bool ChunkWriter::put(std::size_t index, MadeChunk chunk) {
  const std::lock_guard lock(mutex_);
  waiting_.emplace(index, std::move(chunk));
  while (result_ && !waiting_.empty() && waiting_.begin()->first == written_) {
    result_ = write(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    ++written_;
  }
  return result_.has_value();
}

Result<void> ChunkWriter::write(const MadeChunk& chunk) {
  const ChunkSpan& span = spans_[written_];
  const ByteSpan made = target_.subspan(span.target_begin, span.target_bytes());
  const std::uint64_t offset = builder_.add_chunk(
      static_cast<std::uint32_t>(made.size()), static_cast<std::uint32_t>(chunk.bytes.size()),
      crypto::blake2b_256(chunk.bytes), crypto::blake2b_256(made));
  report_.copies += chunk.copies;
  report_.copied_bytes += chunk.copied_bytes;
  report_.changed_bytes += chunk.changed_bytes;
  report_.copies_left_out += chunk.left_out;
  return output_.write_at(offset, chunk.bytes);
}

}  // namespace layby::delta
