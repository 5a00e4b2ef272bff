#include "delta/repeats.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "delta/common_prefix.h"

namespace layby::delta {
namespace {

constexpr std::size_t kHashedBytes = 12;
constexpr std::size_t kWays = 4;  // earlier places under one hash
constexpr std::uint64_t kNowhere = ~std::uint64_t{0};
constexpr std::uint64_t kTableBytesMax = std::uint64_t{128} * 1024 * 1024;

// Estimated cost, in sixteenths of a bit, as CoderId::kMixed codes it.
constexpr std::uint64_t kDifference = 5 * 16;
constexpr std::uint64_t kAddressDifference = 1 * 16;
constexpr std::uint64_t kCopy = 28 * 16;
constexpr std::uint64_t kRepeat = 58 * 16;  // and the beginning of what goes on behind it

std::uint64_t block_begin(std::uint64_t at) {
  return at / NewByteCosts::kBlockBytes * NewByteCosts::kBlockBytes;
}

// What is left of copies of the base where others have taken their place.
class Merger {
 public:
  void add_base(const Copy& copy, std::uint64_t until) {
    const std::uint64_t begin = std::max(copy.target_offset, end_);
    const std::uint64_t end = std::min(copy.target_offset + copy.bytes, until);
    if (begin >= end) return;
    merged_.push_back({begin, copy.source_offset + (begin - copy.target_offset), end - begin});
    end_ = end;
  }
  void add_repeat(const Copy& copy) {
    merged_.push_back(copy);
    end_ = copy.target_offset + copy.bytes;
  }
  CopyList take() && { return std::move(merged_); }

 private:
  CopyList merged_;
  std::uint64_t end_ = 0;
};

}  // namespace

ChunkCosts::ChunkCosts(const RepeatSource& source, const CopyList& copies, std::uint64_t begin,
                       std::uint64_t end)
    : begin_(begin), end_(end) {
  // Blocks are those of the target, whatever the chunks.
  const std::uint64_t first = block_begin(begin);
  const std::uint64_t last =
      std::min<std::uint64_t>(source.target.size(), block_begin(end) + NewByteCosts::kBlockBytes);
  const NewByteCosts new_bytes(source.target.subspan(first, last - first));
  std::uint64_t at = begin;
  for (const Copy& copy : copies) {
    add_new(new_bytes, at, copy.target_offset);
    add(copy.target_offset, kCopy);
    add_differences(source, copy);
    at = copy.target_offset + copy.bytes;
  }
  add_new(new_bytes, at, end);
}

void ChunkCosts::add(std::uint64_t at, std::uint64_t cost, std::uint64_t bytes) {
  places_.push_back({at, bytes, cost, total_});
  total_ += cost * bytes;
}

void ChunkCosts::add_new(const NewByteCosts& costs, std::uint64_t from, std::uint64_t to) {
  while (from < to) {
    const std::uint64_t until = std::min(to, block_begin(from) + NewByteCosts::kBlockBytes);
    add(from, costs.at(from - block_begin(begin_)), until - from);
    from = until;
  }
}

void ChunkCosts::add_differences(const RepeatSource& source, const Copy& copy) {
  ByteSpan base = source.match_base.subspan(copy.source_offset, copy.bytes);
  ByteSpan target = source.match_target.subspan(copy.target_offset, copy.bytes);
  std::uint64_t at = copy.target_offset;
  const std::uint64_t cost = source.has_addresses ? kAddressDifference : kDifference;
  while (true) {
    const std::size_t equal = common_prefix(base, target);
    if (equal == base.size()) return;
    std::size_t run = 1;
    while (equal + run < base.size() && base[equal + run] != target[equal + run]) ++run;
    add(at + equal, cost, run);
    base = base.subspan(equal + run);
    target = target.subspan(equal + run);
    at += equal + run;
  }
}

std::uint64_t ChunkCosts::up_to(std::uint64_t at) const {
  const auto after =
      std::upper_bound(places_.begin(), places_.end(), at,
                       [](std::uint64_t wanted, const Place& of) { return wanted <= of.at; });
  if (after == places_.begin()) return 0;
  const Place& last = *(after - 1);
  return last.before + last.each * std::min(last.bytes, at - last.at);
}

class Repeats::Table {
 public:
  Table(ByteSpan target, std::uint64_t table_bytes) : target_(target) {
    rows_ = static_cast<std::size_t>(table_bytes / sizeof(std::uint64_t) / kWays) + 1;
    places_.assign(rows_ * kWays, kNowhere);
  }

  // Copies of the target, in order, that pay.
  CopyList find_all(const ChunkCosts& costs, const std::stop_token& stop) {
    CopyList found;
    covered_ = std::max(covered_, costs.begin());
    for (const ChunkCosts::Place& place : costs.places()) {
      for (std::uint64_t at = std::max(place.at, covered_); at < place.at + place.bytes;) {
        if (stop.stop_requested()) return {};
        const Copy copy = find(at, costs);
        remember(at);
        if (copy.bytes == 0) {
          ++at;
          continue;
        }
        found.push_back(copy);
        covered_ = copy.target_offset + copy.bytes;
        // What repeats is known already; a little of it is enough to find it again.
        for (std::uint64_t i = 1; i < kHashedBytes && at + i < covered_; ++i) remember(at + i);
        at = covered_;
      }
    }
    return found;
  }

 private:
  std::uint64_t* row(std::uint64_t at) {
    std::uint64_t low;
    std::uint32_t high;
    std::memcpy(&low, &target_[at], sizeof low);
    std::memcpy(&high, &target_[at + sizeof low], sizeof high);
    std::uint64_t hash = (low ^ std::uint64_t{high} << 21) * 0x9e3779b97f4a7c15ull;
    hash = (hash ^ hash >> 32 ^ high) * 0xd6e8feb86659fd93ull;
    return &places_[(hash >> 20) % rows_ * kWays];
  }

  void remember(std::uint64_t at) {
    if (at + kHashedBytes > target_.size()) return;
    std::uint64_t* const places = row(at);
    // Of a run the beginning is kept: a copy of it doubles what there is.
    if (places[0] != kNowhere && at - places[0] < 2 * kHashedBytes) return;
    std::copy_backward(places, places + kWays - 1, places + kWays);
    places[0] = at;
  }

  // The repeat around `at` that saves most; without bytes if none does.
  Copy find(std::uint64_t at, const ChunkCosts& costs) {
    Copy best;
    if (at + kHashedBytes > target_.size()) return best;
    std::uint64_t most = kRepeat;
    const std::uint64_t from = covered_;
    const std::uint64_t end = costs.end();
    const std::uint64_t* const places = row(at);
    for (std::size_t i = 0; i < kWays && places[i] != kNowhere; ++i) {
      // So near that it would reach into itself at once.
      if (at - places[i] < 2 * kHashedBytes) continue;
      const Copy copy = grow(at, places[i], from, end);
      if (copy.bytes < kHashedBytes || copy.bytes <= best.bytes) continue;
      // One that repeats itself before it gets here would lead back.
      if (copy.target_offset + copy.bytes <= at) continue;
      const std::uint64_t cost = costs.of(copy.target_offset, copy.target_offset + copy.bytes);
      if (cost <= most) continue;
      most = cost;
      best = copy;
    }
    return best;
  }

  Copy grow(std::uint64_t at, std::uint64_t place, std::uint64_t from, std::uint64_t end) const {
    std::uint64_t before = 0;
    // It ends where it began at the latest: who goes farther back does not get to `at`.
    const std::uint64_t most = std::min({at - from, place, at - place});
    while (before < most && target_[at - before - 1] == target_[place - before - 1]) ++before;
    const std::uint64_t start = at - before;
    const std::uint64_t source = place - before;
    const std::uint64_t bytes =
        common_prefix(target_.subspan(source, start - source), target_.subspan(start, end - start));
    return {start, source, bytes, Copy::Source::kTarget};
  }

  ByteSpan target_;
  std::uint64_t covered_ = 0;  // repeats reach to here; at least to where the chunk begins
  std::size_t rows_ = 0;
  std::vector<std::uint64_t> places_;
};

Repeats::Repeats(ByteSpan target, std::uint64_t table_bytes)
    : table_(std::make_unique<Table>(target, table_bytes)) {}
Repeats::~Repeats() = default;

void Repeats::add_to(const ChunkCosts& costs, CopyList& copies, const std::stop_token& stop) {
  const CopyList repeats = table_->find_all(costs, stop);
  if (repeats.empty()) return;
  Merger merger;
  auto next = copies.begin();
  for (const Copy& repeat : repeats) {
    for (; next != copies.end() && next->target_offset < repeat.target_offset; ++next) {
      merger.add_base(*next, repeat.target_offset);
      // It may go on behind the repeat.
      if (next->target_offset + next->bytes > repeat.target_offset) break;
    }
    merger.add_repeat(repeat);
    const std::uint64_t end = repeat.target_offset + repeat.bytes;
    while (next != copies.end() && next->target_offset + next->bytes <= end) ++next;
  }
  for (; next != copies.end(); ++next) merger.add_base(*next, ~std::uint64_t{0});
  copies = std::move(merger).take();
}

std::uint64_t repeat_table_bytes(std::uint64_t target_bytes) {
  return std::min(std::bit_ceil(target_bytes / 4 + 1) * sizeof(std::uint64_t), kTableBytesMax);
}

}  // namespace layby::delta
