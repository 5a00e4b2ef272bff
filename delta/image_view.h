// Reads the view of an image (view_layout.h) as if it were there: bytes of the image as they are,
// texts of its streams from a small cache.
#pragma once

#include <list>

#include "base/disk.h"
#include "delta/view_layout.h"

namespace layby::delta {

// What a chunk may have expanded before it is taken for an attack on the car's time.
constexpr std::uint64_t kExpandedBytesMax = 512 * kMiB;

// Texts that were read last. One cache serves both images of a payload.
class TextCache {
 public:
  static constexpr std::size_t kBytesMax = kStreamTextBytesMax;  // of all texts that it holds

  // The text of a stream of `image`; valid until the next call. kBadPayload if it is not exactly
  // such a stream, or after kExpandedBytesMax.
  Result<ByteSpan> text(const ReadAt& image, const StreamList& streams, std::uint32_t index);

  // Forgets all: for the next chunk, which may come much later.
  void clear();

 private:
  struct Entry {
    const StreamList* streams;
    std::uint32_t index;
    Bytes text;
  };

  std::list<Entry> entries_;  // the latest first
  std::size_t bytes_ = 0;
  std::uint64_t expanded_bytes_ = 0;
};

class ImageView final : public ReadAt {
 public:
  // All must outlive it. Not for several threads at once, as the cache is none.
  ImageView(const ReadAt& image, const StreamList& streams, const ViewLayout& layout,
            TextCache& cache)
      : image_(image), streams_(streams), layout_(layout), cache_(cache) {}

  std::uint64_t size() const override { return layout_.view_bytes(); }
  // kBadPayload where a listed stream is not what the list says.
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override;

 private:
  const ReadAt& image_;
  const StreamList& streams_;
  const ViewLayout& layout_;
  TextCache& cache_;
};

}  // namespace layby::delta
