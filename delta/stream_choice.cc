#include "delta/stream_choice.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "base/assert.h"
#include "crypto/digest.h"
#include "delta/chunk_plan.h"
#include "delta/share_out.h"
#include "delta/stream_remaker.h"
#include "delta/stream_text.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

// A stream that is found, and what is learnt about it.
struct Candidate {
  FoundStream found;
  crypto::Digest256 digest{};
  std::uint32_t recipe = 0;
  bool is_chosen = false;
};

std::vector<Candidate> find_candidates(ByteSpan image) {
  std::vector<Candidate> candidates;
  for (FoundStream& found : find_streams(image)) {
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
    for (std::size_t i = part * kPartStreams; i < end && !stop.stop_requested(); ++i) {
      Candidate& candidate = candidates[i];
      const Bytes stream = join_pieces(image, candidate.found.pieces);
      const std::optional<Bytes> text =
          text_of_stream(candidate.found.form, stream, candidate.found.text_bytes_max);
      if (!text) continue;
      candidate.found.text_bytes_max = static_cast<std::uint32_t>(text->size());
      const std::optional<std::uint32_t> recipe =
          remaker ? remaker->find_recipe(candidate.found.form, stream, *text) : 0;
      candidate.is_chosen = recipe.has_value();
      candidate.recipe = recipe.value_or(0);
    }
    const std::lock_guard lock(mutex);
    if (remaker) remakers.push_back(std::move(remaker));
    return !stop.stop_requested();
  });
  std::erase_if(candidates, [](const Candidate& candidate) { return !candidate.is_chosen; });
}

void drop_shorter(std::vector<Candidate>& candidates, std::uint32_t least) {
  std::erase_if(candidates, [least](const Candidate& candidate) {
    return candidate.found.text_bytes_max < least;
  });
}

// The longest ones where there are too many.
void keep_within_limits(std::vector<Candidate>& candidates) {
  const auto pieces = [](const std::vector<Candidate>& of) {
    std::size_t sum = 0;
    for (const Candidate& candidate : of) sum += candidate.found.pieces.size();
    return sum;
  };
  for (std::uint32_t least = 128;
       candidates.size() > kStreamsMax || pieces(candidates) > kStreamPiecesMax; least *= 2)
    drop_shorter(candidates, least);
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

StreamTable table_of(const std::vector<Candidate>& base, const std::vector<Candidate>& target) {
  StreamTable table;
  table.base = list_of(base);
  table.target = list_of(target);
  const bool has_zstd = std::any_of(target.begin(), target.end(), [](const Candidate& candidate) {
    return candidate.found.form == StreamForm::kZstd;
  });
  table.zstd_version = has_zstd ? zstd_version() : 0;
  return table;
}

// Streams that no chunk can hold are dropped.
std::vector<std::uint64_t> plan(std::uint64_t target_bytes, std::uint64_t chunk_bytes,
                                std::vector<Candidate>& candidates) {
  std::vector<FoundStream> streams;
  for (const Candidate& candidate : candidates) streams.push_back(candidate.found);
  std::vector<std::uint64_t> ends = plan_chunks(target_bytes, chunk_bytes, streams);
  std::set<std::uint64_t> kept;
  for (const FoundStream& stream : streams) kept.insert(stream.pieces.front().offset);
  std::erase_if(candidates, [&](const Candidate& candidate) {
    return !kept.contains(candidate.found.pieces.front().offset);
  });
  return ends;
}

}  // namespace

StreamChoice choose_streams(ByteSpan base, ByteSpan target, std::uint64_t chunk_bytes,
                            unsigned threads, std::stop_token stop) {
  std::vector<Candidate> of_base;
  std::vector<Candidate> of_target;
  share_out(2, threads, [&](std::size_t i) {
    (i == 0 ? of_base : of_target) = find_candidates(i == 0 ? base : target);
    return true;
  });
  drop_common(of_base, of_target);
  prove(target, Side::kTarget, of_target, threads, stop);
  keep_within_limits(of_target);
  StreamChoice choice;
  choice.chunk_ends = plan(target.size(), chunk_bytes, of_target);
  if (of_target.empty()) return choice;
  prove(base, Side::kBase, of_base, threads, stop);
  keep_within_limits(of_base);
  choice.table = table_of(of_base, of_target);
  for (std::uint32_t least = 256;
       serialise_stream_table(choice.table).size() > kStreamTableBytesMax; least *= 2) {
    drop_shorter(of_base, least);
    drop_shorter(of_target, least);
    choice.table = table_of(of_base, of_target);
  }
  return choice;
}

Bytes make_view(ByteSpan image, const StreamList& streams, const ViewLayout& layout) {
  Bytes view(layout.view_bytes());
  std::uint64_t image_end = 0;
  std::uint64_t view_end = 0;
  const auto copy_until = [&](std::uint64_t offset) {
    std::copy_n(image.begin() + static_cast<std::ptrdiff_t>(image_end), offset - image_end,
                view.begin() + static_cast<std::ptrdiff_t>(view_end));
  };
  for (const ViewLayout::Cut& cut : layout.cuts()) {
    copy_until(cut.image_offset);
    image_end = cut.image_end();
    view_end = cut.view_end();
    if (cut.text_bytes == 0) continue;
    const Stream& stream = streams[cut.stream];
    const Bytes joined = join_pieces(image, streams.pieces(stream));
    ByteSpan rest = joined;
    const StreamSource source = [&rest](std::size_t most) -> Result<ByteSpan> {
      const ByteSpan bytes = rest.first(std::min(most, rest.size()));
      rest = rest.subspan(bytes.size());
      return bytes;
    };
    LAYBY_ASSERT(expand_stream(stream.form, stream.bytes, source,
                               MutableByteSpan(view).subspan(cut.view_offset, cut.text_bytes)));
  }
  copy_until(image.size());
  return view;
}

}  // namespace layby::delta
