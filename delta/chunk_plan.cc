#include "delta/chunk_plan.h"

#include <algorithm>

namespace layby::delta {
namespace {

// A stream from its first byte in the image to its last: where no chunk may end.
struct Reach {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t bytes = 0;
  std::uint64_t more_bytes = 0;  // of the view
  std::size_t stream = 0;
};

std::vector<Reach> reaches_of(const std::vector<FoundStream>& streams) {
  std::vector<Reach> reaches;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    Reach reach{~std::uint64_t{0}, 0, 0, 0, i};
    for (const StreamPiece& piece : streams[i].pieces) {
      reach.begin = std::min(reach.begin, piece.offset);
      reach.end = std::max(reach.end, piece.end());
      reach.bytes += piece.bytes;
    }
    const std::uint64_t text = streams[i].text_bytes_max;
    reach.more_bytes = text > reach.bytes ? text - reach.bytes : 0;
    reaches.push_back(reach);
  }
  std::sort(reaches.begin(), reaches.end(),
            [](const Reach& a, const Reach& b) { return a.begin < b.begin; });
  return reaches;
}

class Planner {
 public:
  Planner(std::uint64_t target_bytes, std::uint64_t chunk_bytes,
          const std::vector<FoundStream>& streams)
      : target_bytes_(target_bytes),
        chunk_bytes_(chunk_bytes),
        reaches_(reaches_of(streams)),
        is_dropped_(streams.size(), false) {
    std::erase_if(reaches_, [&](const Reach& reach) {
      const bool fits =
          reach.end - reach.begin <= chunk_bytes && reach.bytes + reach.more_bytes <= chunk_bytes;
      if (!fits) is_dropped_[reach.stream] = true;
      return !fits;
    });
  }

  ChunkPlan plan() {
    std::vector<std::uint64_t> ends;
    for (std::uint64_t begin = 0; begin < target_bytes_; begin = ends.back()) {
      const std::uint64_t end = best_end(begin, farthest_end(begin));
      drop_across(end);
      ends.push_back(end);
      while (first_ < reaches_.size() && reaches_[first_].begin < end) ++first_;
    }
    return {std::move(ends), std::move(is_dropped_)};
  }

 private:
  // As far as a chunk from `begin` may go, whatever streams it cuts.
  std::uint64_t farthest_end(std::uint64_t begin) const {
    std::uint64_t end = std::min(target_bytes_, begin + chunk_bytes_);
    std::uint64_t more = 0;
    for (std::size_t i = first_; i < reaches_.size() && reaches_[i].begin < end; ++i) {
      const Reach& reach = reaches_[i];
      more += reach.more_bytes;
      const std::uint64_t room = chunk_bytes_ > more ? chunk_bytes_ - more : 0;
      if (begin + room < reach.begin + reach.bytes && reach.begin > begin)
        return std::min(end, reach.begin);
      end = std::min(end, begin + std::max<std::uint64_t>(room, 1));
    }
    return end;
  }

  // Of the ends that are hardly nearer the one that costs least.
  std::uint64_t best_end(std::uint64_t begin, std::uint64_t farthest) const {
    if (farthest == target_bytes_) return farthest;
    const std::uint64_t nearest = std::max(begin + 1, farthest - (farthest - begin) / 4);
    std::uint64_t best = farthest;
    std::uint64_t least = cost_across(farthest);
    const auto consider = [&](std::uint64_t end) {
      if (end < nearest || end > farthest || least == 0) return;
      const std::uint64_t cost = cost_across(end);
      if (cost > least || (cost == least && end <= best)) return;
      best = end;
      least = cost;
    };
    for (std::size_t i = reaches_.size(); i-- > first_;) {
      if (reaches_[i].begin >= farthest) continue;
      consider(reaches_[i].end);
      consider(reaches_[i].begin);
    }
    return best;
  }

  std::uint64_t cost_across(std::uint64_t end) const {
    std::uint64_t cost = 0;
    for (std::size_t i = first_; i < reaches_.size() && reaches_[i].begin < end; ++i)
      if (reaches_[i].end > end) cost += reaches_[i].bytes;
    return cost;
  }

  void drop_across(std::uint64_t end) {
    for (std::size_t i = first_; i < reaches_.size() && reaches_[i].begin < end; ++i)
      if (reaches_[i].end > end) is_dropped_[reaches_[i].stream] = true;
  }

  std::uint64_t target_bytes_;
  std::uint64_t chunk_bytes_;
  std::vector<Reach> reaches_;
  std::vector<bool> is_dropped_;
  std::size_t first_ = 0;  // of those that begin in the chunk or behind it
};

}  // namespace

ChunkPlan plan_chunks(std::uint64_t target_bytes, std::uint64_t chunk_bytes,
                      const std::vector<FoundStream>& streams) {
  return Planner(target_bytes, chunk_bytes, streams).plan();
}

std::vector<ChunkSpan> chunk_spans(const std::vector<std::uint64_t>& ends,
                                   const ViewLayers& target_view) {
  std::vector<ChunkSpan> spans;
  ChunkSpan span;
  for (const std::uint64_t end : ends) {
    span.target_begin = span.target_end;
    span.view_begin = span.view_end;
    span.target_end = end;
    span.view_end = target_view.view_offset(end);
    spans.push_back(span);
  }
  return spans;
}

}  // namespace layby::delta
