#include "delta/image_view.h"

#include <algorithm>

#include "delta/stream_text.h"

namespace layby::delta {
namespace {

// Reads a stream piece by piece.
class PieceReader {
 public:
  PieceReader(const ReadAt& image, std::span<const StreamPiece> pieces)
      : image_(image), pieces_(pieces) {}

  Result<ByteSpan> next(std::size_t most) {
    if (at_ == pieces_.front().bytes) {
      pieces_ = pieces_.subspan(1);
      at_ = 0;
    }
    const StreamPiece& piece = pieces_.front();
    buffer_.resize(std::min<std::size_t>(most, piece.bytes - at_));
    TRY_VOID(image_.read_at(piece.offset + at_, buffer_));
    at_ += static_cast<std::uint32_t>(buffer_.size());
    return ByteSpan(buffer_);
  }

 private:
  const ReadAt& image_;
  std::span<const StreamPiece> pieces_;
  std::uint32_t at_ = 0;
  Bytes buffer_;
};

}  // namespace

Result<ByteSpan> TextCache::text(const ReadAt& image, const StreamList& streams,
                                 std::uint32_t index) {
  const auto known = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.streams == &streams && entry.index == index;
  });
  if (known != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, known);
    return ByteSpan(entries_.front().text);
  }
  const Stream& stream = streams[index];
  expanded_bytes_ += stream.text_bytes;
  if (expanded_bytes_ > kExpandedBytesMax)
    return fail(ErrorCode::kBadPayload, "a chunk that expands more than {} bytes",
                kExpandedBytesMax);
  while (!entries_.empty() && bytes_ + stream.text_bytes > kBytesMax) {
    bytes_ -= entries_.back().text.size();
    entries_.pop_back();
  }
  Bytes text(stream.text_bytes);
  PieceReader reader(image, streams.pieces(stream));
  TRY_VOID(expand_stream(
      stream.form, stream.bytes, [&](std::size_t most) { return reader.next(most); }, text));
  bytes_ += text.size();
  entries_.push_front({&streams, index, std::move(text)});
  return ByteSpan(entries_.front().text);
}

void TextCache::clear() {
  entries_.clear();
  bytes_ = 0;
  expanded_bytes_ = 0;
}

Result<void> ImageView::read_at(std::uint64_t offset, MutableByteSpan out) const {
  if (offset > size() || out.size() > size() - offset)
    return fail(ErrorCode::kIo, "{} bytes at {} of a view of {}", out.size(), offset, size());
  while (!out.empty()) {
    const ViewLayout::Place place = layout_.find(offset);
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(place.bytes, out.size()));
    if (place.stream == ViewLayout::Place::kNoStream) {
      TRY_VOID(image_.read_at(place.offset, out.first(bytes)));
    } else {
      const ByteSpan text = TRY(cache_.text(image_, streams_, place.stream));
      const ByteSpan wanted = text.subspan(static_cast<std::size_t>(place.offset), bytes);
      std::copy(wanted.begin(), wanted.end(), out.begin());
    }
    offset += bytes;
    out = out.subspan(bytes);
  }
  return {};
}

}  // namespace layby::delta
