#include "delta/read_cost.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

#include "delta/address_fields.h"
#include "delta/image_view.h"

namespace layby::delta {
namespace {

constexpr std::uint64_t kWindowBytes = 32 * kKiB;
constexpr std::uint64_t kMirrorWindowBytes = 1024;
// A text that is expanded for copies of so few bytes, and fewer than one in so many of what it
// costs, is not worth it: as many new bytes are decoded in less time, and cost few bytes more.
constexpr std::uint64_t kDearBytesMax = 64;
constexpr std::uint64_t kDearCostPerByte = 128;
// Without the dear copies other texts are kept, and others are dear.
constexpr int kDearRounds = 3;

class ReadCost {
 public:
  ReadCost(const SeenViews& views, const ChunkSpan& chunk) : views_(views), chunk_(chunk) {
    // Never too much: it goes on counting beyond what a reader allows.
    texts_.begin_chunk(std::uint64_t{1} << 48);
  }

  // A text from when it is expanded until it gives way to others.
  struct Stay {
    std::uint64_t cost = 0;
    std::uint64_t copied_bytes = 0;  // by copies that read it

    bool is_dear() const {
      return copied_bytes <= kDearBytesMax && cost > kDearCostPerByte * copied_bytes;
    }
  };
  const std::vector<Stay>& stays() const { return stays_; }
  // Those that the last copy read.
  const std::vector<std::size_t>& stays_read() const { return stays_read_; }

  std::uint64_t of_next(const Copy& copy) {
    const std::uint64_t before = texts_.cost();
    stays_read_.clear();
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
    std::sort(stays_read_.begin(), stays_read_.end());
    stays_read_.erase(std::unique(stays_read_.begin(), stays_read_.end()), stays_read_.end());
    for (const std::size_t stay : stays_read_) stays_[stay].copied_bytes += copy.bytes;
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
    const bool is_new = !texts_.holds(streams, index);
    const std::uint64_t before = texts_.cost();
    static_cast<void>(texts_.touch(streams, index));
    std::size_t& stay = latest_stay_[{&streams, index}];
    if (is_new) {
      stay = stays_.size();
      stays_.push_back({texts_.cost() - before, 0});
    }
    stays_read_.push_back(stay);
  }

  const SeenViews& views_;
  const Seen of_base_{views_.base, views_.streams.base, views_.streams.inner_base};
  const Seen of_target_{views_.target, views_.streams.target, views_.streams.inner_target};
  const ChunkSpan& chunk_;
  TextCache texts_;
  std::vector<Stay> stays_;
  std::vector<std::size_t> stays_read_;
  std::map<std::pair<const StreamList*, std::uint32_t>, std::size_t> latest_stay_;
};

// Takes away copies from texts that hardly anything is copied from. Whether any went.
bool drop_dear(const SeenViews& views, const ChunkSpan& chunk, CopyList& copies) {
  ReadCost cost(views, chunk);
  std::vector<std::vector<std::size_t>> read;
  for (const Copy& copy : copies) {
    cost.of_next(copy);
    read.push_back(cost.stays_read());
  }
  std::size_t at = 0;
  return std::erase_if(copies, [&](const Copy&) {
           const std::vector<std::size_t>& stays = read[at++];
           return std::any_of(stays.begin(), stays.end(),
                              [&](std::size_t stay) { return cost.stays()[stay].is_dear(); });
         }) > 0;
}

}  // namespace

std::size_t keep_within_read_cost(const SeenViews& views, const ChunkSpan& chunk,
                                  CopyList& copies) {
  const std::uint64_t most = (kReadCostBesides + chunk.view_bytes() * kReadCostPerByte) / 8 * 7;
  const std::size_t before = copies.size();
  for (int i = 0; i < kDearRounds && drop_dear(views, chunk, copies); ++i) {
  }
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
