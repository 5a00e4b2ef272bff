// Reads the view of an image (view_layout.h) as if it were there: bytes of the image as they are,
// texts of its streams from a small cache.
#pragma once

#include <list>
#include <map>

#include "base/disk.h"
#include "delta/view_layout.h"

namespace layby::delta {

// What a chunk may cost by reading texts, in bytes, before it is taken for an attack on the car's
// time: so much for each byte of its view, and so much besides. All of it is part of the format.
constexpr std::uint64_t kReadCostPerByte = 256;
constexpr std::uint64_t kReadCostBesides = 4 * kMiB;
// What counts: each text that a read touches; and one that must be expanded for it besides: its
// bytes, those of its stream, so many for the work that each takes, and for each of its pieces.
constexpr std::uint64_t kTouchedCost = 64;
constexpr std::uint64_t kExpandedCost = 4 * kKiB;
constexpr std::uint64_t kPieceCost = 256;

// Texts that were read last. One cache serves both images of a payload.
class TextCache {
 public:
  // Of what it holds. The texts read longest ago give way before another is expanded.
  static constexpr std::size_t kBytesMax = kStreamTextBytesMax;
  static constexpr std::size_t kTextsMax = 1024;

  // The text of a stream of `image`; valid until the next call. kBadPayload if it is not exactly
  // such a stream, or if the chunk costs too much. With Layer::kInner `image` may be a view that
  // reads by this cache: what the stream stands in is touched first, and read piece by piece.
  Result<ByteSpan> text(const ReadAt& image, const StreamList& streams, std::uint32_t index,
                        Layer layer = Layer::kOuter);

  // What text() does but read and expand: for who only wants to know the cost. What an inner stream
  // stands in must be touched before, unless holds().
  Result<void> touch(const StreamList& streams, std::uint32_t index);
  bool holds(const StreamList& streams, std::uint32_t index) const {
    return places_.contains({&streams, index});
  }

  // Forgets all texts, and begins to count: the next chunk may come much later.
  void begin_chunk(std::uint64_t view_bytes);
  std::uint64_t cost() const { return cost_; }  // since then

 private:
  using Key = std::pair<const StreamList*, std::uint32_t>;
  struct Entry {
    Key key;
    Bytes text;  // empty: not expanded
  };

  Result<void> charge(std::uint64_t cost);

  std::list<Entry> entries_;  // the latest first
  std::map<Key, std::list<Entry>::iterator> places_;
  std::size_t bytes_ = 0;
  std::uint64_t cost_ = 0;
  std::uint64_t cost_max_ = kReadCostBesides;
};

class ImageView final : public ReadAt {
 public:
  // All must outlive it. Not for several threads at once, as the cache is none. For inner streams
  // `image` is the view that the outer ones make.
  ImageView(const ReadAt& image, const StreamList& streams, const ViewLayout& layout,
            TextCache& cache, Layer layer = Layer::kOuter)
      : image_(image), streams_(streams), layout_(layout), cache_(cache), layer_(layer) {}

  std::uint64_t size() const override { return layout_.view_bytes(); }
  // kBadPayload where a listed stream is not what the list says.
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override;

 private:
  const ReadAt& image_;
  const StreamList& streams_;
  const ViewLayout& layout_;
  TextCache& cache_;
  Layer layer_;
};

}  // namespace layby::delta
