#include "delta/view_layout.h"

#include <algorithm>

namespace layby::delta {

Result<ViewLayout> ViewLayout::create(std::uint64_t image_bytes, const StreamList& streams) {
  ViewLayout layout(image_bytes);
  layout.cuts_.reserve(streams.pieces_size());
  for (std::uint32_t i = 0; i < streams.size(); ++i) {
    std::uint32_t text_bytes = streams[i].text_bytes;
    for (const StreamPiece& piece : streams.pieces(streams[i])) {
      layout.cuts_.push_back({piece.offset, 0, piece.bytes, text_bytes, i});
      text_bytes = 0;
    }
  }
  std::sort(layout.cuts_.begin(), layout.cuts_.end(),
            [](const Cut& a, const Cut& b) { return a.image_offset < b.image_offset; });
  std::uint64_t image_end = 0;
  std::uint64_t view_end = 0;
  for (Cut& cut : layout.cuts_) {
    if (cut.image_offset < image_end || cut.image_offset > image_bytes ||
        cut.bytes > image_bytes - cut.image_offset)
      return fail(ErrorCode::kBadPayload,
                  "a stream's piece of {} bytes at {} overlaps another or leaves the image",
                  cut.bytes, cut.image_offset);
    cut.view_offset = view_end + (cut.image_offset - image_end);
    image_end = cut.image_end();
    view_end = cut.view_end();
  }
  layout.view_bytes_ = view_end + (image_bytes - image_end);
  return layout;
}

ViewLayout::Place ViewLayout::find(std::uint64_t view_offset) const {
  const auto after = std::upper_bound(
      cuts_.begin(), cuts_.end(), view_offset,
      [](std::uint64_t wanted, const Cut& cut) { return wanted < cut.view_offset; });
  const std::uint64_t until = after != cuts_.end() ? after->view_offset : view_bytes_;
  if (after == cuts_.begin()) return {Place::kNoStream, view_offset, until - view_offset};
  const Cut& cut = *(after - 1);
  if (view_offset < cut.view_end())
    return {cut.stream, view_offset - cut.view_offset, cut.view_end() - view_offset};
  return {Place::kNoStream, cut.image_end() + (view_offset - cut.view_end()), until - view_offset};
}

std::vector<ViewLayout::Cut>::const_iterator ViewLayout::first_cut_behind(
    std::uint64_t image_offset) const {
  return std::partition_point(cuts_.begin(), cuts_.end(), [image_offset](const Cut& cut) {
    return cut.image_end() <= image_offset;
  });
}

std::uint64_t ViewLayout::view_offset(std::uint64_t image_offset) const {
  const auto cut = first_cut_behind(image_offset);
  if (cut != cuts_.end() && cut->image_offset < image_offset) return cut->view_end();
  if (cut == cuts_.begin()) return image_offset;
  const Cut& before = *(cut - 1);
  return before.view_end() + (image_offset - before.image_end());
}

Result<ViewLayers> ViewLayers::create(std::uint64_t image_bytes, const StreamList& streams,
                                      const StreamList& inner_streams) {
  ViewLayers layers(TRY(ViewLayout::create(image_bytes, streams)));
  layers.inner = TRY(ViewLayout::create(layers.outer.view_bytes(), inner_streams));
  return layers;
}

}  // namespace layby::delta
