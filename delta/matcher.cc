#include "delta/matcher.h"

#include <algorithm>

#include "base/assert.h"
#include "delta/common_prefix.h"
#include "delta/new_byte_costs.h"

namespace layby::delta {
namespace {

// Estimated cost of coding, in sixteenths of a bit, as measured on executables and maps.
using Cost = std::int64_t;
constexpr Cost kFirstMiss = 10 * 16;   // a differing byte after an equal one: position and value
constexpr Cost kFurtherMiss = 6 * 16;  // a differing byte after a differing one
constexpr Cost kSwitch = 38 * 16;      // a copy from another alignment
constexpr Cost kResume = 10 * 16;      // from a copy to new bytes

constexpr std::size_t kWaysMax = 10;           // alignments alive at once
constexpr std::size_t kLookBackBytes = 16384;  // how far a newcomer is followed backwards
constexpr std::size_t kCertainBytes = 32;      // an equal run this long needs no alternatives
constexpr std::size_t kQuietBytes = 10;        // an equal run this long needs no new seeds
// After this many fruitless searches in a row the step between them grows by one.
constexpr std::size_t kPatience = 64;
constexpr std::size_t kStepMax = 32;

constexpr std::uint32_t kNone = ~std::uint32_t{0};

// A way of making the bytes from `begin` on, having come there by the step `previous`.
struct Step {
  std::int64_t alignment;  // base offset less target offset; meaningless for new bytes
  std::size_t begin;
  std::uint32_t previous;  // index into the steps, kNone at the beginning of the range
  bool copies;
};

struct Way {
  Step step;
  Cost cost;
  std::uint32_t recorded = kNone;  // index of `step` among the steps once something refers to it
  bool missed = false;             // whether the last byte differed
};

class RangeMatcher {
 public:
  RangeMatcher(ByteSpan base, ByteSpan target, std::size_t begin, std::size_t end,
               const Seeds& seeds, std::stop_token stop)
      : base_(base),
        target_(target),
        begin_(begin),
        end_(end),
        new_byte_costs_(target.subspan(begin, end - begin)),
        seeds_(seeds),
        stop_(stop) {
    past_.resize(kLookBackBytes);
    ways_.reserve(kWaysMax + kSeedsMax + 1);
    ways_.push_back({{0, begin, kNone, false}, 0});
    remember(begin);
  }

  CopyList run() {
    for (std::size_t at = begin_; at < end_;) {
      if (stop_.stop_requested()) return {};
      const std::size_t run = equal_run(ways_[best_], at);
      if (run >= kCertainBytes) {
        at = skip_equal(at, run);
        continue;
      }
      if (run < kQuietBytes && at >= search_at_) search(at);
      advance(at);
      ++at;
      prune();
      remember(at);
    }
    return walk_back();
  }

 private:
  struct Past {
    Cost cost;
    std::uint32_t step;
  };

  bool covers(const Way& way, std::size_t at) const {
    const std::int64_t base_at = static_cast<std::int64_t>(at) + way.step.alignment;
    return base_at >= 0 && static_cast<std::uint64_t>(base_at) < base_.size();
  }

  std::size_t equal_run(const Way& way, std::size_t at) const {
    if (!way.step.copies || !covers(way, at)) return 0;
    const auto base_at =
        static_cast<std::size_t>(static_cast<std::int64_t>(at) + way.step.alignment);
    return common_prefix(base_.subspan(base_at), target_.subspan(at, end_ - at));
  }

  // The best way is beyond doubt for `run` bytes: forget the others and go to the end of it.
  std::size_t skip_equal(std::size_t at, std::size_t run) {
    Way best = ways_[best_];
    best.missed = false;
    ways_.assign(1, best);
    best_ = 0;
    const std::size_t next = at + run;
    const std::size_t from = next - std::min(run, kLookBackBytes) + 1;
    for (std::size_t i = from; i < next; ++i) remember(i);
    needs_new_bytes_ = true;
    remember(next);
    search_at_ = next;
    fruitless_ = 0;
    return next;
  }

  void search(std::size_t at) {
    Seed found[kSeedsMax];
    const Way& best = ways_[best_];
    const std::int64_t near = best.step.copies ? static_cast<std::int64_t>(at) + best.step.alignment
                                               : static_cast<std::int64_t>(at);
    const std::size_t count =
        seeds_.find(target_.subspan(at, end_ - at),
                    static_cast<std::uint64_t>(std::max<std::int64_t>(near, 0)), found);
    std::size_t longest = 0;
    for (std::size_t i = 0; i < count; ++i) {
      longest = std::max<std::size_t>(longest, found[i].bytes);
      consider(at, found[i]);
    }
    fruitless_ = longest >= 16 ? 0 : fruitless_ + 1;
    const std::size_t step = std::min(1 + fruitless_ / kPatience, kStepMax);
    search_at_ = at + std::max<std::size_t>(longest >= 16 ? longest / 2 : 1, step);
  }

  // A seed becomes a way if its alignment is not alive yet and it is not hopeless.
  void consider(std::size_t at, const Seed& seed) {
    if (seed.bytes < 6) return;
    const std::int64_t alignment =
        static_cast<std::int64_t>(seed.base_offset) - static_cast<std::int64_t>(at);
    for (const Way& way : ways_)
      if (way.step.copies && way.step.alignment == alignment) return;
    const std::size_t look_back = std::min(at - begin_, kLookBackBytes - 1);
    const std::int64_t base_at = static_cast<std::int64_t>(seed.base_offset);
    Cost own = 0;
    Cost least = past(at).cost + kSwitch;
    std::size_t least_at = at;
    bool missed = false;
    bool ends_in_miss = false;
    for (std::size_t back = 1; back <= look_back && static_cast<std::int64_t>(back) <= base_at;
         ++back) {
      const bool equal = base_[static_cast<std::size_t>(base_at) - back] == target_[at - back];
      if (equal) {
        missed = false;
      } else {
        own += missed ? kFurtherMiss : kFirstMiss;
        if (back == 1) ends_in_miss = true;
        missed = true;
      }
      const Cost cost = past(at - back).cost + kSwitch + own;
      if (cost < least) {
        least = cost;
        least_at = at - back;
      }
      if (cost > past(at).cost + 3 * kSwitch) break;
    }
    ways_.push_back({{alignment, least_at, past(least_at).step, true}, least});
    ways_.back().missed = ends_in_miss && least_at < at;
  }

  void advance(std::size_t at) {
    const Cost new_byte = new_byte_costs_.at(at - begin_);
    for (Way& way : ways_) {
      if (!way.step.copies) {
        way.cost += new_byte;
      } else if (!covers(way, at)) {
        way.cost += kSwitch * 1000;  // dead: it would read past the base
      } else if (base_[static_cast<std::size_t>(static_cast<std::int64_t>(at) +
                                                way.step.alignment)] == target_[at]) {
        way.missed = false;
      } else {
        way.cost += way.missed ? kFurtherMiss : kFirstMiss;
        way.missed = true;
      }
    }
    best_ = 0;
    for (std::size_t i = 1; i < ways_.size(); ++i)
      if (ways_[i].cost < ways_[best_].cost) best_ = i;
  }

  // Keeps what could still win without being found again, and always a way of new bytes.
  void prune() {
    const Cost limit = ways_[best_].cost + kSwitch;
    bool has_new_bytes = false;
    Way best = ways_[best_];
    std::size_t kept = 0;
    for (const Way& way : ways_) {
      if (way.cost > limit) continue;
      if (!way.step.copies && way.cost > best.cost + kResume) continue;
      has_new_bytes |= !way.step.copies;
      ways_[kept++] = way;
    }
    ways_.resize(kept);
    if (ways_.size() > kWaysMax) {
      std::nth_element(ways_.begin(), ways_.begin() + kWaysMax, ways_.end(),
                       [](const Way& a, const Way& b) { return a.cost < b.cost; });
      has_new_bytes = false;
      ways_.resize(kWaysMax);
      for (const Way& way : ways_) has_new_bytes |= !way.step.copies;
    }
    best_ = 0;
    for (std::size_t i = 1; i < ways_.size(); ++i)
      if (ways_[i].cost < ways_[best_].cost) best_ = i;
    needs_new_bytes_ = !has_new_bytes;
  }

  // Notes how cheaply `at` was reached and by which step, for newcomers that look back.
  void remember(std::size_t at) {
    Way& best = ways_[best_];
    if (best.recorded == kNone) {
      best.recorded = static_cast<std::uint32_t>(steps_.size());
      steps_.push_back(best.step);
    }
    past_[at % kLookBackBytes] = {best.cost, best.recorded};
    if (needs_new_bytes_) {
      const Way fresh{{0, at, best.recorded, false}, best.cost + kResume};
      ways_.push_back(fresh);
      needs_new_bytes_ = false;
    }
  }

  const Past& past(std::size_t at) const { return past_[at % kLookBackBytes]; }

  CopyList walk_back() const {
    CopyList copies;
    std::size_t end = end_;
    for (std::uint32_t i = past(end_).step; i != kNone; i = steps_[i].previous) {
      const Step& step = steps_[i];
      LAYBY_ASSERT(step.begin <= end);
      if (step.copies && step.begin < end)
        copies.push_back(
            {step.begin,
             static_cast<std::uint64_t>(static_cast<std::int64_t>(step.begin) + step.alignment),
             end - step.begin});
      end = step.begin;
    }
    std::reverse(copies.begin(), copies.end());
    return copies;
  }

  ByteSpan base_;
  ByteSpan target_;
  std::size_t begin_;
  std::size_t end_;
  const NewByteCosts new_byte_costs_;
  const Seeds& seeds_;
  std::stop_token stop_;
  std::vector<Way> ways_;
  std::size_t best_ = 0;
  std::vector<Step> steps_;
  std::vector<Past> past_;  // a ring over the last positions
  std::size_t search_at_ = 0;
  std::size_t fruitless_ = 0;
  bool needs_new_bytes_ = false;
};

}  // namespace

CopyList match(ByteSpan base, ByteSpan target, std::size_t begin, std::size_t end,
               const Seeds& seeds, std::stop_token stop) {
  if (begin == end || base.empty()) return {};
  return RangeMatcher(base, target, begin, end, seeds, stop).run();
}

}  // namespace layby::delta
