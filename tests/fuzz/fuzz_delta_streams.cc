// Compressed streams: a table of them as an applier reads it, and views that it makes of an image;
// streams as the encoder finds them, made again bit for bit.
#include <algorithm>

#include "base/assert.h"
#include "delta/image_files.h"
#include "delta/image_view.h"
#include "delta/stream_choice.h"
#include "delta/stream_remaker.h"
#include "tests/fuzz/memory_bytes.h"

using namespace layby;
using namespace layby::delta;

namespace {

// Reads here and there: whatever the table says, it ends in bytes or in an error.
void read_view(const StreamList& streams, const StreamList& inner, ByteSpan image) {
  const auto layers = ViewLayers::create(image.size(), streams, inner);
  if (!layers) return;
  const tests::MemoryBytes bytes(image);
  TextCache cache;
  const ImageView outer(bytes, streams, layers->outer, cache);
  const ImageView view(outer, inner, layers->inner, cache, Layer::kInner);
  Bytes out(100);
  for (std::uint64_t at = 0; at + out.size() <= view.size() && at < 4 * kMiB; at += 4099)
    if (!view.read_at(at, out)) break;
}

void check_table(ByteSpan bytes) {
  const auto table = parse_stream_table(bytes);
  if (!table) return;
  const auto again = parse_stream_table(serialise_stream_table(*table));
  LAYBY_ASSERT(again && again->target.size() == table->target.size());
  read_view(table->base, table->inner_base, bytes);
  read_view(table->target, table->inner_target, bytes);
}

void check_remade(ByteSpan image, ByteSpan view, const StreamList& streams,
                  const ViewLayout& layout) {
  StreamRemaker remaker;
  for (const ViewLayout::Cut& cut : layout.cuts()) {
    if (cut.text_bytes == 0) continue;
    const Stream& stream = streams[cut.stream];
    Bytes made(stream.bytes);
    LAYBY_ASSERT(remaker.remake(stream.form, stream.recipe,
                                view.subspan(cut.view_offset, cut.text_bytes), made));
    LAYBY_ASSERT(made == join_pieces(image, streams.pieces(stream)));
  }
}

void check_found(ByteSpan image) {
  StreamChoice choice = choose_streams({}, image, 64 * kKiB, 1, {});
  const auto layout = ViewLayout::create(image.size(), choice.table.target);
  LAYBY_ASSERT(layout);
  Bytes view(layout->view_bytes());
  make_view(image, choice.table.target, *layout, 1, view);
  add_inner_streams({{}, {}, image, view}, 64 * kKiB, 1, {}, choice);
  const StreamTable& table = choice.table;
  const auto layers = ViewLayers::create(image.size(), table.target, table.inner_target);
  LAYBY_ASSERT(layers);
  Bytes last(layers->view_bytes());
  make_view(view, table.inner_target, layers->inner, 1, last);
  find_files_in_view({image, last, *layers});
  check_remade(image, view, table.target, layers->outer);
  check_remade(view, last, table.inner_target, layers->inner);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  check_table(bytes);
  check_found(bytes);
  return 0;
}
