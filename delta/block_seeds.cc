#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "delta/common_prefix.h"
#include "delta/seeds.h"

namespace layby::delta {
namespace {

// A block of the base is found wherever it stands in the target; so is every match of at least
// twice this length less one.
constexpr std::size_t kBlockBytes = 24;
constexpr std::uint32_t kEmpty = ~std::uint32_t{0};
// Blocks under one hash that are compared before giving up: runs of equal blocks are common.
constexpr int kProbesMax = 4;

std::uint64_t hash_block(const std::uint8_t* at) {
  std::uint64_t words[3];
  std::memcpy(words, at, sizeof words);
  std::uint64_t hash = words[0] * 0x9e3779b97f4a7c15ull;
  hash = (std::rotl(hash, 29) ^ words[1]) * 0xbf58476d1ce4e5b9ull;
  hash = (std::rotl(hash, 29) ^ words[2]) * 0x94d049bb133111ebull;
  return hash ^ (hash >> 32);
}

class BlockSeeds final : public Seeds {
 public:
  explicit BlockSeeds(ByteSpan base) : base_(base) {
    const std::size_t blocks = base.size() / kBlockBytes;
    slots_.assign(std::bit_ceil(2 * blocks + 1), kEmpty);
    mask_ = slots_.size() - 1;
    for (std::size_t block = 0; block < blocks; ++block) insert(block);
  }

  std::size_t find(ByteSpan target, std::uint64_t near, Seed* out) const override {
    if (target.size() < kBlockBytes) return 0;
    target = target.first(std::min<std::size_t>(target.size(), kSeedBytesMax));
    std::size_t count = 0;
    std::size_t slot = hash_block(target.data()) & mask_;
    for (int probe = 0; probe < kProbesMax && slots_[slot] != kEmpty; ++probe) {
      const std::uint64_t at = std::uint64_t{slots_[slot]} * kBlockBytes;
      const std::size_t match = common_prefix(base_.subspan(at), target);
      if (match >= kBlockBytes)
        count = keep_seed({at, static_cast<std::uint32_t>(match)}, near, out, count);
      slot = (slot + 1) & mask_;
    }
    return count;
  }

 private:
  // Linear probing with a bound: of many equal blocks the first few are kept.
  void insert(std::size_t block) {
    std::size_t slot = hash_block(&base_[block * kBlockBytes]) & mask_;
    for (int probe = 0; probe < kProbesMax; ++probe) {
      if (slots_[slot] == kEmpty) {
        slots_[slot] = static_cast<std::uint32_t>(block);
        return;
      }
      slot = (slot + 1) & mask_;
    }
  }

  ByteSpan base_;
  std::vector<std::uint32_t> slots_;  // block numbers: a base of up to 96 GiB
  std::size_t mask_ = 0;
};

static_assert(kProbesMax <= static_cast<int>(kSeedsMax));

}  // namespace

std::unique_ptr<Seeds> make_block_seeds(ByteSpan base) {
  return std::make_unique<BlockSeeds>(base);
}

std::uint64_t block_seeds_bytes(std::uint64_t base_bytes) {
  return std::bit_ceil(2 * (base_bytes / kBlockBytes) + 1) * sizeof(std::uint32_t);
}

}  // namespace layby::delta
