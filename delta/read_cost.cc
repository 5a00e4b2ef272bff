#include "delta/read_cost.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "delta/address_fields.h"
#include "delta/image_view.h"

namespace layby::delta {
namespace {

constexpr std::uint64_t kWindowBytes = 32 * kKiB;
constexpr std::uint64_t kMirrorWindowBytes = 1024;

class ReadCost {
 public:
  ReadCost(const SeenViews& views, const ChunkSpan& chunk) : views_(views), chunk_(chunk) {
    // Never too much: it goes on counting beyond what a reader allows.
    texts_.begin_chunk(std::uint64_t{1} << 48);
  }

  std::uint64_t of_next(const Copy& copy) {
    const std::uint64_t before = texts_.cost();
    if (copy.source == Copy::Source::kMirror) {
      const std::uint64_t reach = copy.bytes + kMirrorWindowBytes;
      const std::uint64_t begin = copy.source_offset - std::min(copy.source_offset, reach);
      for (std::uint64_t end = copy.source_offset; end > begin;) {
        const std::uint64_t from = end - std::min(end - begin, kMirrorWindowBytes);
        read_target(from, end);
        end = from;
      }
    } else {
      for (std::uint64_t done = 0; done < copy.bytes; done += kWindowBytes) {
        const std::uint64_t first = copy.source_offset + done;
        const std::uint64_t bytes = std::min(kWindowBytes, copy.bytes - done);
        const std::uint64_t from = first - std::min<std::uint64_t>(first, kFieldLookBehind);
        const std::uint64_t end = first + bytes + kFieldLookAhead;
        if (copy.source == Copy::Source::kTarget)
          read_target(from, end);
        else
          read(of_base_, from, std::min(end, views_.base.view_bytes()));
      }
    }
    return texts_.cost() - before;
  }

 private:
  void read_target(std::uint64_t from, std::uint64_t end) {
    read(of_target_, from, std::min(end, chunk_.view_begin));
  }

  struct Seen {
    const ViewLayers& layers;
    const StreamList& streams;
    const StreamList& inner_streams;
  };

  // As ImageView reads inner streams, and what is in none.
  void read(const Seen& seen, std::uint64_t from, std::uint64_t end) {
    while (from < end) {
      const ViewLayout::Place place = seen.layers.inner.find(from);
      const std::uint64_t bytes = std::min(place.bytes, end - from);
      if (place.stream == ViewLayout::Place::kNoStream) {
        read_outer(seen, place.offset, place.offset + bytes);
      } else {
        const Stream& stream = seen.inner_streams[place.stream];
        if (!texts_.holds(seen.inner_streams, place.stream))
          for (const StreamPiece& piece : seen.inner_streams.pieces(stream))
            read_outer(seen, piece.offset, piece.end());
        touch(seen.inner_streams, place.stream);
      }
      from += bytes;
    }
  }

  void read_outer(const Seen& seen, std::uint64_t from, std::uint64_t end) {
    while (from < end) {
      const ViewLayout::Place place = seen.layers.outer.find(from);
      if (place.stream != ViewLayout::Place::kNoStream) touch(seen.streams, place.stream);
      from += place.bytes;
    }
  }

  // The budget is beyond reach.
  void touch(const StreamList& streams, std::uint32_t index) {
    static_cast<void>(texts_.touch(streams, index));
  }

  const SeenViews& views_;
  const Seen of_base_{views_.base, views_.streams.base, views_.streams.inner_base};
  const Seen of_target_{views_.target, views_.streams.target, views_.streams.inner_target};
  const ChunkSpan& chunk_;
  TextCache texts_;
};

}  // namespace

std::size_t keep_within_read_cost(const SeenViews& views, const ChunkSpan& chunk,
                                  CopyList& copies) {
  const std::uint64_t most = (kReadCostBesides + chunk.view_bytes() * kReadCostPerByte) / 8 * 7;
  const std::size_t before = copies.size();
  while (true) {
    ReadCost cost(views, chunk);
    std::vector<std::uint64_t> costs;
    for (const Copy& copy : copies) costs.push_back(cost.of_next(copy));
    const std::uint64_t sum = std::accumulate(costs.begin(), costs.end(), std::uint64_t{0});
    if (sum <= most) return before - copies.size();
    std::vector<std::size_t> dearest(copies.size());
    std::iota(dearest.begin(), dearest.end(), std::size_t{0});
    std::stable_sort(dearest.begin(), dearest.end(), [&](std::size_t a, std::size_t b) {
      return costs[a] * copies[b].bytes > costs[b] * copies[a].bytes;
    });
    std::vector<bool> goes(copies.size(), false);
    std::uint64_t gone = 0;
    for (const std::size_t i : dearest) {
      if (gone >= sum - most) break;
      gone += costs[i];
      goes[i] = true;
    }
    std::size_t at = 0;
    std::erase_if(copies, [&](const Copy&) { return goes[at++]; });
  }
}

}  // namespace layby::delta
