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
void read_view(const StreamList& streams, ByteSpan image) {
  const auto layout = ViewLayout::create(image.size(), streams);
  if (!layout) return;
  const tests::MemoryBytes bytes(image);
  TextCache cache;
  const ImageView view(bytes, streams, *layout, cache);
  Bytes out(100);
  for (std::uint64_t at = 0; at + out.size() <= view.size() && at < 4 * kMiB; at += 4099)
    if (!view.read_at(at, out)) break;
}

void check_table(ByteSpan bytes) {
  const auto table = parse_stream_table(bytes);
  if (!table) return;
  const auto again = parse_stream_table(serialise_stream_table(*table));
  LAYBY_ASSERT(again && again->target.size() == table->target.size());
  read_view(table->base, bytes);
  read_view(table->target, bytes);
}

void check_found(ByteSpan image) {
  const StreamChoice choice = choose_streams({}, image, 64 * kKiB, 1, {});
  const StreamList& streams = choice.table.target;
  const auto layout = ViewLayout::create(image.size(), streams);
  LAYBY_ASSERT(layout);
  Bytes view(layout->view_bytes());
  make_view(image, streams, *layout, 1, view);
  find_files_in_view({image, view, *layout});
  StreamRemaker remaker;
  for (const ViewLayout::Cut& cut : layout->cuts()) {
    if (cut.text_bytes == 0) continue;
    const Stream& stream = streams[cut.stream];
    Bytes made(stream.bytes);
    LAYBY_ASSERT(remaker.remake(stream.form, stream.recipe,
                                ByteSpan(view).subspan(cut.view_offset, cut.text_bytes), made));
    LAYBY_ASSERT(made == join_pieces(image, streams.pieces(stream)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  check_table(bytes);
  check_found(bytes);
  return 0;
}
