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

Result<void> TextCache::charge(std::uint64_t cost) {
  cost_ += cost;
  if (cost_ > cost_max_)
    return fail(ErrorCode::kBadPayload, "a chunk that costs more than {} bytes of texts to read",
                cost_max_);
  return {};
}

Result<void> TextCache::touch(const StreamList& streams, std::uint32_t index) {
  TRY_VOID(charge(kTouchedCost));
  const Key key(&streams, index);
  if (const auto known = places_.find(key); known != places_.end()) {
    entries_.splice(entries_.begin(), entries_, known->second);
    return {};
  }
  const Stream& stream = streams[index];
  TRY_VOID(charge(std::uint64_t{stream.text_bytes} + stream.bytes + kExpandedCost +
                  stream.pieces_count * kPieceCost));
  while (!entries_.empty() &&
         (bytes_ + stream.text_bytes > kBytesMax || entries_.size() == kTextsMax)) {
    const Key oldest = entries_.back().key;
    bytes_ -= (*oldest.first)[oldest.second].text_bytes;
    places_.erase(oldest);
    entries_.pop_back();
  }
  bytes_ += stream.text_bytes;
  entries_.push_front({key, {}});
  places_.emplace(key, entries_.begin());
  return {};
}

Result<ByteSpan> TextCache::text(const ReadAt& image, const StreamList& streams,
                                 std::uint32_t index, Layer layer) {
  // Reading an inner stream moves texts about, so that comes before room is made for its own.
  Bytes joined;
  const bool is_joined = layer == Layer::kInner && !holds(streams, index);
  if (is_joined) {
    joined.resize(streams[index].bytes);
    MutableByteSpan rest = joined;
    for (const StreamPiece& piece : streams.pieces(streams[index])) {
      TRY_VOID(image.read_at(piece.offset, rest.first(piece.bytes)));
      rest = rest.subspan(piece.bytes);
    }
  }
  TRY_VOID(touch(streams, index));
  Bytes& known = entries_.front().text;
  if (!known.empty()) return ByteSpan(known);
  const Stream& stream = streams[index];
  Bytes text(stream.text_bytes);
  PieceReader reader(image, streams.pieces(stream));
  ByteSpan rest = joined;
  const StreamSource source = [&](std::size_t most) -> Result<ByteSpan> {
    if (!is_joined) return reader.next(most);
    const ByteSpan bytes = rest.first(std::min(most, rest.size()));
    rest = rest.subspan(bytes.size());
    return bytes;
  };
  TRY_VOID(expand_stream(stream.form, stream.bytes, source, text));
  known = std::move(text);
  return ByteSpan(known);
}

void TextCache::begin_chunk(std::uint64_t view_bytes) {
  entries_.clear();
  places_.clear();
  bytes_ = 0;
  cost_ = 0;
  cost_max_ = kReadCostBesides + view_bytes * kReadCostPerByte;
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
      const ByteSpan text = TRY(cache_.text(image_, streams_, place.stream, layer_));
      const ByteSpan wanted = text.subspan(static_cast<std::size_t>(place.offset), bytes);
      std::copy(wanted.begin(), wanted.end(), out.begin());
    }
    offset += bytes;
    out = out.subspan(bytes);
  }
  return {};
}

}  // namespace layby::delta
