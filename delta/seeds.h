// Seeds: exact matches between a place in the target and the base, from which the matcher grows
// copies. Two ways to find them: every suffix of the base sorted (the longest match anywhere, five
// bytes of memory a base byte), and hashed blocks (matches of at least a block, a fifth of that).
//
// A Seeds object is immutable once it is made: any number of threads may search it.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace layby::delta {

struct Seed {
  std::uint64_t base_offset = 0;
  std::uint32_t bytes = 0;  // length of the exact match, at most kSeedBytesMax
};

constexpr std::uint32_t kSeedBytesMax = 4096;
constexpr std::size_t kSeedsMax = 4;

class Seeds {
 public:
  virtual ~Seeds() = default;
  // Puts up to kSeedsMax matches of the beginning of `target`, the longest known first, into `out`
  // and returns how many. Of equally long ones those nearest to `base_offset_near` are preferred.
  virtual std::size_t find(ByteSpan target, std::uint64_t base_offset_near, Seed* out) const = 0;
};

// Both keep a reference to `base`. Base bytes: below 2^31 for suffixes.
std::unique_ptr<Seeds> make_suffix_seeds(ByteSpan base);
std::unique_ptr<Seeds> make_block_seeds(ByteSpan base);

// Memory that they hold, the base not included.
std::uint64_t suffix_seeds_bytes(std::uint64_t base_bytes);
std::uint64_t block_seeds_bytes(std::uint64_t base_bytes);

// Puts `seed` where it belongs among the `count` best so far (longest first, then nearest) and
// returns how many there are now: for the two above.
std::size_t keep_seed(const Seed& seed, std::uint64_t base_offset_near, Seed* best,
                      std::size_t count);

}  // namespace layby::delta
