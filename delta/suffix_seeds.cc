#include <divsufsort.h>

#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "delta/common_prefix.h"
#include "delta/seeds.h"

namespace layby::delta {
namespace {

// Suffixes are looked up by their first bytes before the binary search: three, or two where a table
// for three would be larger than the base.
constexpr std::size_t kSmallBaseBytes = 8 * 1024 * 1024;
std::size_t prefix_bytes_for(std::uint64_t base_bytes) {
  return base_bytes < kSmallBaseBytes ? 2 : 3;
}
std::size_t buckets_for(std::uint64_t base_bytes) {
  return std::size_t{1} << (8 * prefix_bytes_for(base_bytes));
}

// Neighbours in the sorted order that are looked at for equally long matches.
constexpr int kNeighbours = 6;

class SuffixSeeds final : public Seeds {
 public:
  explicit SuffixSeeds(ByteSpan base)
      : base_(base), prefix_bytes_(prefix_bytes_for(base.size())), order_(base.size()) {
    LAYBY_ASSERT(base.size() < (std::uint64_t{1} << 31));
    const int failed = divsufsort(base.data(), order_.data(), static_cast<saidx_t>(base.size()));
    LAYBY_ASSERT(failed == 0);
    count_buckets();
  }

  std::size_t find(ByteSpan target, std::uint64_t near, Seed* out) const override {
    if (target.size() < prefix_bytes_) return 0;
    target = target.first(std::min<std::size_t>(target.size(), kSeedBytesMax));
    const std::size_t bucket = bucket_of(target.data());
    std::int64_t low = bucket_begin_[bucket];
    std::int64_t high = bucket_begin_[bucket] + bucket_size_[bucket];
    if (low == high) return 0;
    low = lower_bound(target, low, high);
    return collect(target, low, near, out);
  }

 private:
  std::size_t bucket_of(const std::uint8_t* at) const {
    std::size_t bucket = 0;
    for (std::size_t i = 0; i < prefix_bytes_; ++i) bucket = bucket << 8 | at[i];
    return bucket;
  }

  // Suffixes shorter than the prefix are left out of the buckets: they stand before the others of
  // their beginning, so each bucket is one run of the order.
  void count_buckets() {
    bucket_begin_.assign(buckets_for(base_.size()), 0);
    bucket_size_.assign(buckets_for(base_.size()), 0);
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const std::size_t at = static_cast<std::size_t>(order_[i]);
      if (base_.size() - at < prefix_bytes_) continue;
      const std::size_t bucket = bucket_of(&base_[at]);
      if (bucket_size_[bucket]++ == 0) bucket_begin_[bucket] = static_cast<std::uint32_t>(i);
    }
  }

  std::size_t match_at(std::int64_t rank, ByteSpan target, std::size_t known) const {
    const ByteSpan suffix = base_.subspan(static_cast<std::size_t>(order_[rank]));
    known = std::min({known, suffix.size(), target.size()});
    return known + common_prefix(suffix.subspan(known), target.subspan(known));
  }

  // The first suffix of [low, high) that does not sort before the target.
  std::int64_t lower_bound(ByteSpan target, std::int64_t low, std::int64_t high) const {
    std::size_t low_match = prefix_bytes_;
    std::size_t high_match = prefix_bytes_;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      const std::size_t match = match_at(middle, target, std::min(low_match, high_match));
      if (match == target.size()) return middle;
      const std::size_t at = static_cast<std::size_t>(order_[middle]) + match;
      if (at == base_.size() || base_[at] < target[match]) {
        low = middle + 1;
        low_match = match;
      } else {
        high = middle;
        high_match = match;
      }
    }
    return low;
  }

  std::size_t collect(ByteSpan target, std::int64_t rank, std::uint64_t near, Seed* out) const {
    std::size_t count = 0;
    const std::int64_t end = static_cast<std::int64_t>(order_.size());
    for (std::int64_t i = std::max<std::int64_t>(0, rank - kNeighbours);
         i < std::min(end, rank + kNeighbours); ++i) {
      const auto match = static_cast<std::uint32_t>(match_at(i, target, 0));
      if (match >= prefix_bytes_)
        count = keep_seed({static_cast<std::uint64_t>(order_[i]), match}, near, out, count);
    }
    return count;
  }

  ByteSpan base_;
  std::size_t prefix_bytes_;
  std::vector<saidx_t> order_;
  std::vector<std::uint32_t> bucket_begin_;
  std::vector<std::uint32_t> bucket_size_;
};

}  // namespace

std::unique_ptr<Seeds> make_suffix_seeds(ByteSpan base) {
  return std::make_unique<SuffixSeeds>(base);
}

std::uint64_t suffix_seeds_bytes(std::uint64_t base_bytes) {
  return base_bytes * sizeof(saidx_t) + buckets_for(base_bytes) * 8;
}

}  // namespace layby::delta
