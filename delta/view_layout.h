// The view of an image: its bytes, but in the place of each listed stream's first piece that
// stream's text, and nothing in the place of its other pieces. Offsets of a view and of its image
// rise together.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "delta/streams.h"

namespace layby::delta {

class ViewLayout {
 public:
  // Without streams: the view is the image.
  explicit ViewLayout(std::uint64_t image_bytes = 0)
      : image_bytes_(image_bytes), view_bytes_(image_bytes) {}
  // kBadPayload unless all pieces lie within the image and none overlaps another.
  static Result<ViewLayout> create(std::uint64_t image_bytes, const StreamList& streams);

  std::uint64_t image_bytes() const { return image_bytes_; }
  std::uint64_t view_bytes() const { return view_bytes_; }
  bool has_streams() const { return !cuts_.empty(); }

  // A piece of a stream, in order of the offsets. All but the first of a stream have no text.
  struct Cut {
    std::uint64_t image_offset;
    std::uint64_t view_offset;
    std::uint32_t bytes;
    std::uint32_t text_bytes;
    std::uint32_t stream;

    std::uint64_t image_end() const { return image_offset + bytes; }
    std::uint64_t view_end() const { return view_offset + text_bytes; }
  };
  const std::vector<Cut>& cuts() const { return cuts_; }

  // What stands at a place of the view, and up to where: bytes of the image, or of a text.
  struct Place {
    static constexpr std::uint32_t kNoStream = ~std::uint32_t{0};
    std::uint32_t stream = kNoStream;
    std::uint64_t offset = 0;  // in the stream's text, or else in the image
    std::uint64_t bytes = 0;   // that follow each other from there on
  };
  // `view_offset` below view_bytes().
  Place find(std::uint64_t view_offset) const;

  // Where in the view the image's bytes from `image_offset` on begin; within a piece, where those
  // behind it do.
  std::uint64_t view_offset(std::uint64_t image_offset) const;
  // The first cut that ends behind `image_offset`, or the end.
  std::vector<Cut>::const_iterator first_cut_behind(std::uint64_t image_offset) const;

 private:
  std::uint64_t image_bytes_ = 0;
  std::uint64_t view_bytes_ = 0;
  std::vector<Cut> cuts_;
};

// The views of an image with streams within streams: the outer ones make a view of the image, and
// the inner ones another of that. "The view" is the last one.
struct ViewLayers {
  ViewLayout outer;
  ViewLayout inner;

  // Without inner streams.
  ViewLayers(ViewLayout layout = ViewLayout())
      : outer(std::move(layout)), inner(outer.view_bytes()) {}
  // kBadPayload where ViewLayout::create() says so.
  static Result<ViewLayers> create(std::uint64_t image_bytes, const StreamList& streams,
                                   const StreamList& inner_streams);

  std::uint64_t view_bytes() const { return inner.view_bytes(); }
  bool has_streams() const { return outer.has_streams() || inner.has_streams(); }
  std::uint64_t view_offset(std::uint64_t image_offset) const {
    return inner.view_offset(outer.view_offset(image_offset));
  }
};

}  // namespace layby::delta
