#include "delta/base_survey.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "delta/common_prefix.h"
#include "delta/residence.h"

namespace layby::delta {
namespace {

constexpr std::uint64_t kGranuleBytesMin = 4096;
constexpr std::uint64_t kGranulesMax = std::uint64_t{1} << 22;
// An equal run that long needs no better match.
constexpr std::uint64_t kSettledBytes = 64;
// Of a stretch that no block settles so much is looked for beside each of its neighbours.
constexpr std::uint64_t kWantedBytesMax = std::uint64_t{4} << 20;

// How much farther away a granule is that something is equal to already.
constexpr std::uint32_t kSettledDistance = 64;
constexpr std::uint32_t kNever = ~std::uint32_t{0};

std::uint64_t granule_for(std::uint64_t base_bytes) {
  return std::max(kGranuleBytesMin, std::bit_ceil((base_bytes + kGranulesMax - 1) / kGranulesMax));
}

bool is_one_byte_only(ByteSpan bytes) {
  return bytes.size() < 2 ||
         (bytes[0] == bytes[1] &&
          common_prefix(bytes.subspan(1), bytes.first(bytes.size() - 1)) == bytes.size() - 1);
}

}  // namespace

BaseSurvey::BaseSurvey(std::uint64_t base_bytes)
    : base_bytes_(base_bytes),
      granule_bytes_(granule_for(base_bytes)),
      settled_((base_bytes + granule_bytes_ - 1) / granule_bytes_),
      wanted_(settled_.size()),
      content_(settled_.size(), Content::kUnknown) {}

// Granules that lie in it whole.
void BaseSurvey::settle(std::uint64_t begin, std::uint64_t end) {
  std::uint64_t granule = (begin + granule_bytes_ - 1) / granule_bytes_;
  for (; (granule + 1) * granule_bytes_ <= end; ++granule)
    settled_[granule].store(1, std::memory_order_relaxed);
  if (end == base_bytes_ && granule < settled_.size() && granule * granule_bytes_ >= begin)
    settled_[granule].store(1, std::memory_order_relaxed);
}

void BaseSurvey::want(std::uint64_t begin, std::uint64_t end) {
  end = std::min(end, base_bytes_);
  if (begin >= end) return;
  for (std::uint64_t granule = begin / granule_bytes_; granule * granule_bytes_ < end; ++granule)
    wanted_[granule].store(1, std::memory_order_relaxed);
}

std::uint64_t BaseSurvey::add(ByteSpan base, ByteSpan target, std::uint64_t begin,
                              std::uint64_t end, const CopyList& copies) {
  std::uint64_t unsettled = 0;
  std::uint64_t done = begin;       // all before is settled or counted
  std::uint64_t base_done = begin;  // where that led in the base
  const auto stretch = [&](std::uint64_t to, std::uint64_t base_to) {
    const std::uint64_t bytes = std::min(to - done, kWantedBytesMax);
    if (bytes == 0) return;
    unsettled += to - done;
    want(base_done, base_done + bytes);
    want(base_to - std::min(base_to, bytes), base_to);
  };
  for (const Copy& copy : copies) {
    const ByteSpan of = base.subspan(copy.source_offset, copy.bytes);
    const ByteSpan as = target.subspan(copy.target_offset, copy.bytes);
    for (std::size_t at = 0; at < of.size();) {
      const std::size_t equal = common_prefix(of.subspan(at), as.subspan(at));
      if (equal >= kSettledBytes) {
        stretch(copy.target_offset + at, copy.source_offset + at);
        settle(copy.source_offset + at, copy.source_offset + at + equal);
        done = copy.target_offset + at + equal;
        base_done = copy.source_offset + at + equal;
      }
      at += equal + 1;
    }
  }
  stretch(end, std::min(base_bytes_, base_done + (end - done)));
  return unsettled;
}

void BaseSurvey::forget_wanted() {
  for (auto& flag : wanted_) flag.store(0, std::memory_order_relaxed);
}

std::uint64_t BaseSurvey::unsettled_bytes() const {
  const auto granules = std::count_if(settled_.begin(), settled_.end(),
                                      [](const auto& flag) { return flag.load() == 0; });
  return static_cast<std::uint64_t>(granules) * granule_bytes_;
}

// A page that is looked at may have to come from the disk, and there are as many surveys as groups
// of chunks.
bool BaseSurvey::is_blank(ByteSpan base, std::size_t granule) {
  if (content_[granule] == Content::kUnknown) {
    const std::uint64_t begin = granule * granule_bytes_;
    const std::uint64_t bytes = std::min(granule_bytes_, base_bytes_ - begin);
    content_[granule] =
        is_one_byte_only(base.subspan(begin, bytes)) ? Content::kBlank : Content::kSomething;
  }
  return content_[granule] == Content::kBlank;
}

// For each granule how far it is from a wanted one; kNever for what can be of no use.
std::vector<std::uint32_t> BaseSurvey::ranks(ByteSpan base) {
  std::vector<std::uint32_t> ranks(wanted_.size(), kNever - 1);
  std::uint32_t distance = kNever - 1;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    distance = wanted_[i].load() != 0 ? 0 : std::min(distance + 1, kNever - 1);
    ranks[i] = distance;
  }
  distance = kNever - 1;
  for (std::size_t i = ranks.size(); i-- > 0;) {
    distance = wanted_[i].load() != 0 ? 0 : std::min(distance + 1, kNever - 1);
    ranks[i] = std::min(ranks[i], distance);
    if (i * granule_bytes_ % kPageWindowBytes == 0) let_pages_go();
    if (settled_[i].load() != 0 && ranks[i] > 0)
      ranks[i] = ranks[i] < kNever / kSettledDistance ? ranks[i] * kSettledDistance : kNever;
    else if (is_blank(base, i))
      ranks[i] = kNever;
  }
  return ranks;
}

std::vector<Region> BaseSurvey::choose(ByteSpan base, std::uint64_t bytes_max) {
  const std::vector<std::uint32_t> ranks = this->ranks(base);
  const std::uint64_t most = bytes_max / granule_bytes_;
  std::vector<std::uint32_t> sorted;
  std::copy_if(ranks.begin(), ranks.end(), std::back_inserter(sorted),
               [](std::uint32_t rank) { return rank != kNever; });
  // The first rank that stays out, whole: its granules are alike. Unless even the wanted are too
  // many: then the first of those.
  std::uint32_t out = kNever;
  if (sorted.size() > most) {
    const auto last = sorted.begin() + static_cast<std::ptrdiff_t>(most);
    std::nth_element(sorted.begin(), last, sorted.end());
    out = std::max<std::uint32_t>(*last, 1);
  }
  std::vector<Region> regions;
  std::uint64_t taken = 0;
  for (std::size_t i = 0; i < ranks.size() && taken < most; ++i) {
    if (ranks[i] >= out) continue;
    const std::uint64_t begin = i * granule_bytes_;
    const std::uint64_t end = std::min(base_bytes_, begin + granule_bytes_);
    if (!regions.empty() && regions.back().end == begin)
      regions.back().end = end;
    else
      regions.push_back({begin, end});
    ++taken;
  }
  return regions;
}

}  // namespace layby::delta
