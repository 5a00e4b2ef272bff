#include "delta/stream_choice.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <set>

#include "base/assert.h"
#include "crypto/digest.h"
#include "delta/chunk_plan.h"
#include "delta/residence.h"
#include "delta/share_out.h"
#include "delta/stopping.h"
#include "delta/stream_remaker.h"
#include "delta/stream_text.h"
#include "delta/xz_stream.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

// Streams of an image that are proved at most.
constexpr std::size_t kProvedMax = 4 * kStreamsMax;
constexpr std::uint64_t kWorkBesides = 64 * kMiB;
constexpr std::uint64_t kWorkPerByte = 1024;

// A stream that is found, and what is learnt about it.
struct Candidate {
  FoundStream found;
  crypto::Digest256 digest{};
  std::uint32_t recipe = 0;
  bool is_chosen = false;
};

std::vector<Candidate> candidates_of(ByteSpan image, std::vector<FoundStream> streams) {
  std::vector<Candidate> candidates;
  for (FoundStream& found : streams) {
    check_stop();
    Candidate candidate{std::move(found)};
    candidate.digest = crypto::blake2b_256(join_pieces(image, candidate.found.pieces));
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

void drop_common(std::vector<Candidate>& a, std::vector<Candidate>& b) {
  std::set<crypto::Digest256> of_a;
  std::set<crypto::Digest256> of_both;
  for (const Candidate& candidate : a) of_a.insert(candidate.digest);
  for (const Candidate& candidate : b)
    if (of_a.contains(candidate.digest)) of_both.insert(candidate.digest);
  const auto is_common = [&](const Candidate& of) { return of_both.contains(of.digest); };
  std::erase_if(a, is_common);
  std::erase_if(b, is_common);
}

enum class Side { kBase, kTarget };

// The longest by `length`, in their order: so many of them, and of their pieces, as a list may
// have.
template <typename Length>
void keep_longest(std::vector<Candidate>& candidates, std::size_t most, std::size_t pieces_most,
                  Length length) {
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return length(candidates[a]) > length(candidates[b]);
  });
  std::vector<bool> stays(candidates.size(), false);
  std::size_t count = 0;
  std::size_t pieces = 0;
  for (const std::size_t i : order) {
    const std::size_t more = candidates[i].found.pieces.size();
    if (count == most) break;
    if (more > pieces_most - pieces) continue;
    stays[i] = true;
    ++count;
    pieces += more;
  }
  std::size_t at = 0;
  std::erase_if(candidates, [&](const Candidate&) { return !stays[at++]; });
}

std::uint64_t stream_bytes(const Candidate& candidate) {
  std::uint64_t sum = 0;
  for (const StreamPiece& piece : candidate.found.pieces) sum += piece.bytes;
  return sum;
}

// More than these are not even looked at: hostile images have millions.
void keep_worth_proving(std::vector<Candidate>& candidates) {
  keep_longest(candidates, kProvedMax, ~std::size_t{0}, stream_bytes);
}

// What looking for recipes of some neighbours may take (Deflater::find_recipe).
std::uint64_t work_max(std::span<const Candidate> candidates) {
  std::uint64_t bytes = 0;
  for (const Candidate& candidate : candidates) bytes += stream_bytes(candidate);
  return kWorkBesides + bytes * kWorkPerByte;
}

// Expands all candidates; of the target's makes them again.
void prove(ByteSpan image, Side side, std::vector<Candidate>& candidates, unsigned threads,
           const std::stop_token& stop) {
  // Neighbours often have the same recipe. What is found must not depend on the threads, so a part
  // begins with nothing known.
  constexpr std::size_t kPartStreams = 64;
  const std::size_t parts = (candidates.size() + kPartStreams - 1) / kPartStreams;
  std::vector<std::unique_ptr<StreamRemaker>> remakers;
  std::mutex mutex;  // guards the line before
  share_out(parts, threads, [&](std::size_t part) {
    std::unique_ptr<StreamRemaker> remaker;
    if (side == Side::kTarget) {
      const std::lock_guard lock(mutex);
      if (!remakers.empty()) {
        remaker = std::move(remakers.back());
        remakers.pop_back();
      }
    }
    if (side == Side::kTarget && !remaker) remaker = std::make_unique<StreamRemaker>();
    if (remaker) remaker->forget_likely();
    const std::size_t end = std::min(candidates.size(), (part + 1) * kPartStreams);
    std::uint64_t work_left =
        work_max(std::span(candidates).subspan(part * kPartStreams, end - part * kPartStreams));
    for (std::size_t i = part * kPartStreams; i < end && !stop.stop_requested(); ++i) {
      Candidate& candidate = candidates[i];
      const Bytes stream = join_pieces(image, candidate.found.pieces);
      const std::optional<Bytes> text =
          text_of_stream(candidate.found.form, stream, candidate.found.text_bytes_max);
      if (!text) continue;
      candidate.found.text_bytes_max = static_cast<std::uint32_t>(text->size());
      const std::optional<std::uint32_t> recipe =
          remaker ? remaker->find_recipe(candidate.found.form, stream, *text, work_left) : 0;
      candidate.is_chosen = recipe.has_value();
      candidate.recipe = recipe.value_or(0);
    }
    const std::lock_guard lock(mutex);
    if (remaker) remakers.push_back(std::move(remaker));
    return !stop.stop_requested();
  });
  std::erase_if(candidates, [](const Candidate& candidate) { return !candidate.is_chosen; });
}

std::uint64_t text_bytes(const Candidate& candidate) {
  return candidate.found.text_bytes_max;
}

// `outer`: what is listed of the image already.
void keep_within_limits(std::vector<Candidate>& candidates, const StreamList& outer = {}) {
  keep_longest(candidates, kStreamsMax - outer.size(), kStreamPiecesMax - outer.pieces_size(),
               text_bytes);
}

// All but the shortest of them.
void drop_an_eighth(std::vector<Candidate>& candidates) {
  keep_longest(candidates, candidates.size() / 8 * 7, kStreamPiecesMax, text_bytes);
}

StreamList list_of(const std::vector<Candidate>& candidates) {
  StreamList list;
  for (const Candidate& candidate : candidates) {
    Stream stream;
    stream.form = candidate.found.form;
    stream.text_bytes = candidate.found.text_bytes_max;
    stream.recipe = candidate.recipe;
    list.add(stream, candidate.found.pieces);
  }
  return list;
}

// Those that make these streams of the target.
void name_libraries(const std::vector<Candidate>& target, StreamTable& table) {
  for (const Candidate& candidate : target) {
    if (candidate.found.form == StreamForm::kZstd) table.zstd_version = zstd_version();
    if (candidate.found.form == StreamForm::kXz) table.xz_version = xz_version();
  }
}

StreamTable table_of(const std::vector<Candidate>& base, const std::vector<Candidate>& target) {
  StreamTable table;
  table.base = list_of(base);
  table.target = list_of(target);
  name_libraries(target, table);
  return table;
}

bool is_too_large(const StreamTable& table) {
  return serialise_stream_table(table).size() > kStreamTableBytesMax;
}

void drop(std::vector<Candidate>& candidates, const std::vector<bool>& is_dropped) {
  std::size_t at = 0;
  std::erase_if(candidates, [&](const Candidate&) { return is_dropped[at++]; });
}

// Streams that no chunk can hold are dropped.
std::vector<std::uint64_t> plan(std::uint64_t target_bytes, std::uint64_t chunk_bytes,
                                std::vector<Candidate>& candidates) {
  std::vector<FoundStream> streams;
  for (const Candidate& candidate : candidates) streams.push_back(candidate.found);
  ChunkPlan planned = plan_chunks(target_bytes, chunk_bytes, streams);
  drop(candidates, planned.is_dropped);
  return std::move(planned.ends);
}

// Streams within the streams that were chosen.
class InnerChooser {
 public:
  InnerChooser(const SeenImages& images, const StreamTable& outer)
      : images_(images),
        outer_(outer),
        base_layout_(layout_of(images.base, outer.base)),
        target_layout_(layout_of(images.target, outer.target)) {}

  void choose(std::uint64_t chunk_bytes, unsigned threads, const std::stop_token& stop,
              StreamChoice& choice) const {
    std::vector<Candidate> of_base;
    std::vector<Candidate> of_target;
    share_out(2, threads, [&](std::size_t i) {
      if (i == 0)
        of_base = candidates_of(images_.base_view,
                                find_inner_streams(images_.base, images_.base_view, base_layout_));
      else
        of_target =
            candidates_of(images_.target_view,
                          find_inner_streams(images_.target, images_.target_view, target_layout_));
      return true;
    });
    drop_common(of_base, of_target);
    keep_worth_proving(of_base);
    keep_worth_proving(of_target);
    prove(images_.target_view, Side::kTarget, of_target, threads, stop);
    const std::size_t provable = of_target.size();
    keep_within_limits(of_target, outer_.target);
    const std::optional<ChunkPlan> planned = plan(chunk_bytes, of_target);
    if (!planned || of_target.empty()) return;
    prove(images_.base_view, Side::kBase, of_base, threads, stop);
    keep_within_limits(of_base, outer_.base);
    StreamTable table = outer_;
    name_libraries(of_target, table);
    while (true) {
      table.inner_base = list_of(of_base);
      table.inner_target = list_of(of_target);
      if (!is_too_large(table)) break;
      drop_an_eighth(of_base);
      drop_an_eighth(of_target);
    }
    choice.left_out += provable - of_target.size();
    choice.table = std::move(table);
    choice.chunk_ends = planned->ends;
  }

 private:
  static ViewLayout layout_of(ByteSpan image, const StreamList& streams) {
    auto layout = ViewLayout::create(image.size(), streams);
    LAYBY_ASSERT(layout);
    return std::move(*layout);
  }

  // A stream as chunks must hold it: all of the image that it stands in, with a text as much longer
  // as the view grows by it.
  FoundStream cover_of(const Candidate& inner) const {
    FoundStream cover;
    cover.form = inner.found.form;
    std::set<std::uint32_t> met;
    std::uint64_t bytes = 0;
    const auto add = [&](const StreamPiece& piece) {
      cover.pieces.push_back(piece);
      bytes += piece.bytes;
    };
    for (const StreamPiece& piece : inner.found.pieces)
      for (std::uint64_t at = piece.offset; at < piece.end();) {
        const ViewLayout::Place place = target_layout_.find(at);
        const std::uint64_t here = std::min(place.bytes, piece.end() - at);
        if (place.stream == ViewLayout::Place::kNoStream)
          add({place.offset, static_cast<std::uint32_t>(here)});
        else if (met.insert(place.stream).second)
          for (const StreamPiece& outer : outer_.target.pieces(outer_.target[place.stream]))
            add(outer);
        at += here;
      }
    cover.text_bytes_max = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(bytes + growth_of(inner), ~std::uint32_t{0}));
    return cover;
  }

  static std::uint64_t growth_of(const Candidate& inner) {
    const std::uint64_t bytes = stream_bytes(inner);
    return text_bytes(inner) > bytes ? text_bytes(inner) - bytes : 0;
  }

  // A block may hold more streams than a chunk can hold texts: the first of them stay.
  void keep_what_blocks_can_hold(std::uint64_t chunk_bytes, std::vector<Candidate>& inner) const {
    std::map<std::uint32_t, std::uint64_t> bytes_of;  // of outer streams: of the view
    std::erase_if(inner, [&](const Candidate& candidate) {
      const auto place = target_layout_.find(candidate.found.pieces.front().offset);
      if (place.stream == ViewLayout::Place::kNoStream) return false;
      const Stream& outer = outer_.target[place.stream];
      std::uint64_t& bytes =
          bytes_of.try_emplace(place.stream, std::max(outer.bytes, outer.text_bytes)).first->second;
      const bool has_room = bytes + growth_of(candidate) <= chunk_bytes;
      if (has_room) bytes += growth_of(candidate);
      return !has_room;
    });
  }

  // Drops what no chunk can hold. Nothing where an outer stream would have to go.
  std::optional<ChunkPlan> plan(std::uint64_t chunk_bytes, std::vector<Candidate>& inner) const {
    keep_what_blocks_can_hold(chunk_bytes, inner);
    std::vector<FoundStream> streams;
    for (std::size_t i = 0; i < outer_.target.size(); ++i) {
      const Stream& stream = outer_.target[i];
      const auto pieces = outer_.target.pieces(stream);
      streams.push_back({stream.form, {pieces.begin(), pieces.end()}, stream.text_bytes});
    }
    for (const Candidate& candidate : inner) streams.push_back(cover_of(candidate));
    ChunkPlan planned = plan_chunks(images_.target.size(), chunk_bytes, streams);
    const auto first_inner =
        planned.is_dropped.begin() + static_cast<std::ptrdiff_t>(outer_.target.size());
    if (planned.ends.size() > kPayloadChunksMax ||
        std::find(planned.is_dropped.begin(), first_inner, true) != first_inner)
      return std::nullopt;
    planned.is_dropped.erase(planned.is_dropped.begin(), first_inner);
    drop(inner, planned.is_dropped);
    return planned;
  }

  const SeenImages& images_;
  const StreamTable& outer_;
  const ViewLayout base_layout_;
  const ViewLayout target_layout_;
};

}  // namespace

StreamChoice choose_streams(ByteSpan base, ByteSpan target, std::uint64_t chunk_bytes,
                            unsigned threads, std::stop_token stop) {
  std::vector<Candidate> of_base;
  std::vector<Candidate> of_target;
  share_out(2, threads, [&](std::size_t i) {
    const ByteSpan image = i == 0 ? base : target;
    (i == 0 ? of_base : of_target) = candidates_of(image, find_streams(image));
    return true;
  });
  drop_common(of_base, of_target);
  keep_worth_proving(of_base);
  keep_worth_proving(of_target);
  prove(target, Side::kTarget, of_target, threads, stop);
  StreamChoice choice;
  const std::size_t provable = of_target.size();
  keep_within_limits(of_target);
  choice.chunk_ends = plan(target.size(), chunk_bytes, of_target);
  choice.left_out = provable - of_target.size();
  if (of_target.empty()) return choice;
  prove(base, Side::kBase, of_base, threads, stop);
  keep_within_limits(of_base);
  choice.table = table_of(of_base, of_target);
  while (is_too_large(choice.table)) {
    drop_an_eighth(of_base);
    drop_an_eighth(of_target);
    choice.table = table_of(of_base, of_target);
  }
  choice.left_out = provable - of_target.size();
  return choice;
}

void add_inner_streams(const SeenImages& images, std::uint64_t chunk_bytes, unsigned threads,
                       std::stop_token stop, StreamChoice& choice) {
  const StreamTable outer = choice.table;
  InnerChooser(images, outer).choose(chunk_bytes, threads, stop, choice);
}

void make_view(ByteSpan image, const StreamList& streams, const ViewLayout& layout,
               unsigned threads, MutableByteSpan view) {
  LAYBY_ASSERT(view.size() == layout.view_bytes());
  const std::vector<ViewLayout::Cut>& cuts = layout.cuts();
  // Each cut, and what is between it and the one before.
  share_out(cuts.size() + 1, threads, [&](std::size_t i) {
    const std::uint64_t from = i == 0 ? 0 : cuts[i - 1].image_end();
    const std::uint64_t to = i == 0 ? 0 : cuts[i - 1].view_end();
    const std::uint64_t until = i == cuts.size() ? image.size() : cuts[i].image_offset;
    copy_in_windows(image.subspan(from, until - from), view.subspan(to, until - from));
    check_stop();
    if (i == cuts.size() || cuts[i].text_bytes == 0) return true;
    const ViewLayout::Cut& cut = cuts[i];
    const Stream& stream = streams[cut.stream];
    const Bytes joined = join_pieces(image, streams.pieces(stream));
    ByteSpan rest = joined;
    const StreamSource source = [&rest](std::size_t most) -> Result<ByteSpan> {
      const ByteSpan bytes = rest.first(std::min(most, rest.size()));
      rest = rest.subspan(bytes.size());
      return bytes;
    };
    LAYBY_ASSERT(expand_stream(stream.form, stream.bytes, source,
                               view.subspan(cut.view_offset, cut.text_bytes)));
    return true;
  });
}

}  // namespace layby::delta
