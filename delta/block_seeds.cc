#include <algorithm>
#include <bit>
#include <cstring>

#include "delta/common_prefix.h"
#include "delta/residence.h"
#include "delta/seeds.h"

namespace layby::delta {
namespace {

constexpr std::size_t kBlockBytes = kSeedBlockBytes;
constexpr std::uint32_t kEmpty = ~std::uint32_t{0};
// Blocks under one hash that are compared before giving up: runs of equal blocks are common.
constexpr int kProbesMax = 4;
constexpr std::uint64_t kSlotBytes = sizeof(std::uint32_t) + sizeof(std::uint8_t);

std::uint64_t hash_block(const std::uint8_t* at) {
  std::uint64_t words[3];
  std::memcpy(words, at, sizeof words);
  std::uint64_t hash = words[0] * 0x9e3779b97f4a7c15ull;
  hash = (std::rotl(hash, 29) ^ words[1]) * 0xbf58476d1ce4e5b9ull;
  hash = (std::rotl(hash, 29) ^ words[2]) * 0x94d049bb133111ebull;
  return hash ^ (hash >> 32);
}

// At least twice as many as there are blocks.
std::uint64_t slots_for(std::uint64_t bytes, std::uint64_t stride) {
  return std::bit_ceil(2 * (bytes / stride) + 1);
}

class BlockSeeds final : public Seeds {
 public:
  BlockSeeds(ByteSpan base, std::span<const Region> regions, std::uint64_t table_bytes_max)
      : base_(base) {
    std::uint64_t bytes = 0;
    for (const Region& region : regions) bytes += region.bytes();
    stride_ = block_stride(bytes, table_bytes_max);
    // Numbers of blocks must be smaller than kEmpty.
    while (base.size() / stride_ >= kEmpty) stride_ += kBlockBytes;
    slots_.assign(slots_for(bytes, stride_), kEmpty);
    tags_.assign(slots_.size(), 0);
    mask_ = slots_.size() - 1;
    for (const Region& region : regions)
      for (std::uint64_t block = (region.begin + stride_ - 1) / stride_;
           block * stride_ + kBlockBytes <= region.end; ++block) {
        insert(block);
        if (block * stride_ % kPageWindowBytes < stride_) let_pages_go();
      }
  }

  std::size_t find(ByteSpan target, std::uint64_t near, Seed* out) const override {
    if (target.size() < kBlockBytes) return 0;
    target = target.first(std::min<std::size_t>(target.size(), kSeedBytesMax));
    std::size_t count = 0;
    const std::uint64_t hash = hash_block(target.data());
    std::size_t slot = hash & mask_;
    for (int probe = 0; probe < kProbesMax && slots_[slot] != kEmpty; ++probe) {
      if (tags_[slot] == tag_of(hash)) {
        const std::uint64_t at = slots_[slot] * stride_;
        const std::size_t match = common_prefix(base_.subspan(at), target);
        if (match >= kBlockBytes)
          count = keep_seed({at, static_cast<std::uint32_t>(match)}, near, out, count);
      }
      slot = (slot + 1) & mask_;
    }
    return count;
  }

 private:
  static std::uint8_t tag_of(std::uint64_t hash) { return static_cast<std::uint8_t>(hash >> 56); }

  // Linear probing with a bound: of many equal blocks the first few are kept.
  void insert(std::uint64_t block) {
    const std::uint64_t hash = hash_block(&base_[block * stride_]);
    std::size_t slot = hash & mask_;
    for (int probe = 0; probe < kProbesMax; ++probe) {
      if (slots_[slot] == kEmpty) {
        slots_[slot] = static_cast<std::uint32_t>(block);
        tags_[slot] = tag_of(hash);
        return;
      }
      slot = (slot + 1) & mask_;
    }
  }

  ByteSpan base_;
  std::uint64_t stride_ = kBlockBytes;
  std::vector<std::uint32_t> slots_;  // numbers of blocks
  // Of their hashes: most blocks that are not the wanted one need not be looked at in the base,
  // where they are in nobody's cache, or not in memory at all.
  std::vector<std::uint8_t> tags_;
  std::size_t mask_ = 0;
};

static_assert(kProbesMax <= static_cast<int>(kSeedsMax));

}  // namespace

std::uint64_t block_stride(std::uint64_t base_bytes, std::uint64_t table_bytes_max) {
  std::uint64_t stride = kBlockBytes;
  // A table of one slot is one, whatever is allowed. Odd: who looks at every 32nd byte of a target
  // must not always miss.
  while (slots_for(base_bytes, stride) * kSlotBytes > table_bytes_max && stride < base_bytes)
    stride = (stride + kBlockBytes) | 1;
  return stride;
}

std::unique_ptr<Seeds> make_block_seeds(ByteSpan base, std::uint64_t table_bytes_max) {
  const Region all[] = {{0, base.size()}};
  return std::make_unique<BlockSeeds>(base, all, table_bytes_max);
}

std::unique_ptr<Seeds> make_block_seeds(ByteSpan base, const std::vector<Region>& regions,
                                        std::uint64_t table_bytes_max) {
  return std::make_unique<BlockSeeds>(base, regions, table_bytes_max);
}

std::uint64_t block_seeds_bytes(std::uint64_t base_bytes) {
  return slots_for(base_bytes, kBlockBytes) * kSlotBytes;
}

}  // namespace layby::delta
