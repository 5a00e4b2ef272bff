#include <divsufsort.h>

#include <algorithm>
#include <bit>
#include <new>

#include "base/assert.h"
#include "delta/common_prefix.h"
#include "delta/residence.h"
#include "delta/seeds.h"
#include "delta/share_out.h"
#include "delta/stopping.h"

namespace layby::delta {
namespace {

// Neighbours in the sorted order that are looked at for equally long matches.
constexpr int kNeighbours = 6;
// Shorter ones begin no copy.
constexpr std::size_t kMatchMin = 6;

// What is long is sorted in pieces, side by side: that takes a search in each, so they are few.
constexpr std::uint64_t kPieceBytes = 16 * 1024 * 1024;
constexpr std::uint64_t kPiecesMax = 2;
// A piece goes on into the next one, so that a match across their border is found in full length.
constexpr std::uint64_t kOverlapBytes = 256;

std::uint64_t pieces_for(std::uint64_t bytes) {
  return std::clamp<std::uint64_t>(bytes / kPieceBytes, 1, kPiecesMax);
}

// Suffixes are looked up by the first bits of their first three bytes before the binary search, in
// a table of no more than half the text's size.
int bucket_bits_for(std::uint64_t text_bytes) {
  return std::clamp(static_cast<int>(std::bit_width(text_bytes / 8)), 16, 24);
}

// The suffixes of some regions of the base, which stand behind each other in one text.
class SuffixPiece {
 public:
  // `text` is the base's bytes of `regions` in a row. Of the last one `overlap_bytes` belong to the
  // next piece.
  SuffixPiece(ByteSpan base, ByteSpan text, std::vector<Region> regions,
              std::uint64_t overlap_bytes)
      : base_(base),
        text_(text),
        regions_(std::move(regions)),
        own_bytes_(text.size() - overlap_bytes),
        bits_(bucket_bits_for(text.size())),
        order_(text.size()) {
    std::uint64_t at = 0;
    for (const Region& region : regions_) {
      begins_.push_back(at);
      at += region.bytes();
    }
    if (text.empty()) return;
    check_stop();
    const int failed = divsufsort(text.data(), order_.data(), static_cast<saidx_t>(text.size()));
    if (failed == -2) throw std::bad_alloc();
    LAYBY_ASSERT(failed == 0);
    check_stop();
    count_buckets();
  }

  // Puts matches among the `count` best so far.
  std::size_t find(ByteSpan target, std::uint64_t near, Seed* best, std::size_t count) const {
    if (text_.empty()) return count;
    const std::size_t bucket = bucket_of(target.data());
    const std::int64_t low = bucket_begin_[bucket];
    const std::int64_t high = bucket_begin_[bucket + 1];
    if (low == high) return count;
    return collect(target, lower_bound(target, low, high), near, best, count);
  }

 private:
  std::size_t bucket_of(const std::uint8_t* at) const {
    return static_cast<std::size_t>(at[0] << 16 | at[1] << 8 | at[2]) >> (24 - bits_);
  }

  // A suffix of less than three bytes counts as if zeros followed: it stands before all that begin
  // like that.
  void count_buckets() {
    bucket_begin_.assign((std::size_t{1} << bits_) + 1, 0);
    for (std::size_t at = 0; at + 3 <= text_.size(); ++at)
      ++bucket_begin_[bucket_of(&text_[at]) + 1];
    for (std::size_t at = text_.size() - std::min<std::size_t>(text_.size(), 2); at < text_.size();
         ++at) {
      std::uint8_t padded[3] = {};
      std::copy(text_.begin() + static_cast<std::ptrdiff_t>(at), text_.end(), padded);
      ++bucket_begin_[bucket_of(padded) + 1];
    }
    for (std::size_t i = 1; i < bucket_begin_.size(); ++i) bucket_begin_[i] += bucket_begin_[i - 1];
  }

  std::size_t match_at(std::int64_t rank, ByteSpan target, std::size_t known) const {
    const ByteSpan suffix = text_.subspan(static_cast<std::size_t>(order_[rank]));
    known = std::min({known, suffix.size(), target.size()});
    return known + common_prefix(suffix.subspan(known), target.subspan(known));
  }

  // The first suffix of [low, high) that does not sort before the target.
  std::int64_t lower_bound(ByteSpan target, std::int64_t low, std::int64_t high) const {
    std::size_t low_match = 0;
    std::size_t high_match = 0;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      const std::size_t match = match_at(middle, target, std::min(low_match, high_match));
      if (match == target.size()) return middle;
      const std::size_t at = static_cast<std::size_t>(order_[middle]) + match;
      if (at == text_.size() || text_[at] < target[match]) {
        low = middle + 1;
        low_match = match;
      } else {
        high = middle;
        high_match = match;
      }
    }
    return low;
  }

  // From `rank` outwards matches become shorter: on each side it ends where they are of no use.
  std::size_t collect(ByteSpan target, std::int64_t rank, std::uint64_t near, Seed* best,
                      std::size_t count) const {
    const auto end = static_cast<std::int64_t>(order_.size());
    const std::int64_t first = std::max<std::int64_t>(0, rank - kNeighbours);
    const std::int64_t last = std::min(end, rank + kNeighbours);
    for (std::int64_t i = rank; i < last && consider(i, target, near, best, count);) ++i;
    for (std::int64_t i = rank; i > first && consider(i - 1, target, near, best, count);) --i;
    return count;
  }

  // False: too short, and so are those beyond it.
  bool consider(std::int64_t rank, ByteSpan target, std::uint64_t near, Seed* best,
                std::size_t& count) const {
    const std::size_t match = match_at(rank, target, 0);
    const std::size_t least =
        count == kSeedsMax ? std::max<std::size_t>(best[count - 1].bytes, kMatchMin) : kMatchMin;
    if (match < least) return false;
    const auto at = static_cast<std::uint64_t>(order_[rank]);
    if (at < own_bytes_) count = keep_seed(seed_at(at, match, target), near, best, count);
    return true;
  }

  // What follows a region in the text does not follow it in the base.
  Seed seed_at(std::uint64_t at, std::size_t match, ByteSpan target) const {
    const auto after = std::upper_bound(begins_.begin(), begins_.end(), at);
    const auto i = static_cast<std::size_t>(after - begins_.begin()) - 1;
    const std::uint64_t base_offset = regions_[i].begin + (at - begins_[i]);
    const std::uint64_t left = regions_[i].end - base_offset;
    if (match >= left)
      match = left + common_prefix(base_.subspan(regions_[i].end), target.subspan(left));
    return {base_offset, static_cast<std::uint32_t>(match)};
  }

  ByteSpan base_;
  ByteSpan text_;
  std::vector<Region> regions_;
  std::vector<std::uint64_t> begins_;  // of the regions, in the text
  std::uint64_t own_bytes_;
  int bits_;
  std::vector<saidx_t> order_;
  std::vector<std::uint32_t> bucket_begin_;
};

class SuffixSeeds final : public Seeds {
 public:
  SuffixSeeds(ByteSpan base, unsigned threads) {
    const std::uint64_t count = pieces_for(base.size());
    std::vector<Region> regions;
    for (std::uint64_t i = 0; i < count; ++i)
      regions.push_back({base.size() * i / count, base.size() * (i + 1) / count});
    pieces_.resize(count);
    share_out(count, threads, [&](std::size_t i) {
      const Region own = regions[i];
      const Region with{own.begin, std::min<std::uint64_t>(base.size(), own.end + kOverlapBytes)};
      pieces_[i] =
          std::make_unique<SuffixPiece>(base, base.subspan(with.begin, with.bytes()),
                                        std::vector<Region>{with}, with.bytes() - own.bytes());
      return true;
    });
  }

  SuffixSeeds(ByteSpan base, const std::vector<Region>& regions, unsigned threads) {
    std::uint64_t bytes = 0;
    for (const Region& region : regions) bytes += region.bytes();
    const std::uint64_t count = pieces_for(bytes);
    const std::vector<std::vector<Region>> shares = share_of_each(regions, bytes, count);
    texts_.resize(count);
    pieces_.resize(count);
    share_out(count, threads, [&](std::size_t i) {
      std::size_t size = 0;
      for (const Region& region : shares[i]) size += region.bytes();
      texts_[i].reserve(size);
      for (const Region& region : shares[i]) {
        const ByteSpan from = base.subspan(region.begin, region.bytes());
        for_each_window(from, [&](ByteSpan window) {
          texts_[i].insert(texts_[i].end(), window.begin(), window.end());
        });
      }
      pieces_[i] = std::make_unique<SuffixPiece>(base, texts_[i], shares[i], 0);
      return true;
    });
  }

  std::size_t find(ByteSpan target, std::uint64_t near, Seed* out) const override {
    if (target.size() < 3) return 0;
    target = target.first(std::min<std::size_t>(target.size(), kSeedBytesMax));
    std::size_t count = 0;
    for (const auto& piece : pieces_) count = piece->find(target, near, out, count);
    return count;
  }

 private:
  static std::vector<std::vector<Region>> share_of_each(const std::vector<Region>& regions,
                                                        std::uint64_t bytes, std::uint64_t count) {
    std::vector<std::vector<Region>> shares(count);
    std::uint64_t done = 0;
    std::size_t share = 0;
    for (Region left : regions) {
      while (left.bytes() > 0) {
        const std::uint64_t until = bytes * (share + 1) / count;
        if (done == until && share + 1 < count) {
          ++share;
          continue;
        }
        const std::uint64_t taken = std::min(left.bytes(), until - done);
        shares[share].push_back({left.begin, left.begin + taken});
        left.begin += taken;
        done += taken;
      }
    }
    return shares;
  }

  std::vector<Bytes> texts_;
  std::vector<std::unique_ptr<SuffixPiece>> pieces_;
};

}  // namespace

std::unique_ptr<Seeds> make_suffix_seeds(ByteSpan base, unsigned threads) {
  LAYBY_ASSERT(base.size() <= kSuffixBytesMax);
  return std::make_unique<SuffixSeeds>(base, threads);
}

std::unique_ptr<Seeds> make_suffix_seeds(ByteSpan base, const std::vector<Region>& regions,
                                         unsigned threads) {
  return std::make_unique<SuffixSeeds>(base, regions, threads);
}

std::uint64_t suffix_seeds_bytes(std::uint64_t base_bytes) {
  const std::uint64_t pieces = pieces_for(base_bytes);
  const std::uint64_t piece = base_bytes / pieces + kOverlapBytes;
  return pieces * (piece * sizeof(saidx_t) +
                   ((std::uint64_t{1} << bucket_bits_for(piece)) + 1) * sizeof(std::uint32_t));
}

std::uint64_t region_seeds_bytes(std::uint64_t region_bytes) {
  return suffix_seeds_bytes(region_bytes) + region_bytes;
}

}  // namespace layby::delta
