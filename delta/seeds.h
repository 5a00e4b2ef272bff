// Seeds: exact matches between a place in the target and the base, from which the matcher grows
// copies. Two ways to find them: sorted suffixes of the base, or of regions of it (the longest
// match anywhere in them, four or five bytes of memory for each byte), and hashed blocks (matches
// of at least a block and what lies between two; as little memory as is allowed).
//
// A Seeds object is immutable once it is made: any number of threads may search it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

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

// Bytes of an image.
struct Region {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  std::uint64_t bytes() const { return end - begin; }
};

// Suffixes are sorted in pieces, on so many threads as there are pieces at most.
constexpr std::uint64_t kSuffixBytesMax = (std::uint64_t{1} << 31) - 1;

// All keep a reference to `base`. Of the base whole, of at most kSuffixBytesMax bytes:
std::unique_ptr<Seeds> make_suffix_seeds(ByteSpan base, unsigned threads);
// Of regions of it, in order, without overlap and at most so many bytes together. They are copied.
std::unique_ptr<Seeds> make_suffix_seeds(ByteSpan base, const std::vector<Region>& regions,
                                         unsigned threads);
// Memory that they hold, the base not included; copies of regions are.
std::uint64_t suffix_seeds_bytes(std::uint64_t base_bytes);
std::uint64_t region_seeds_bytes(std::uint64_t region_bytes);

// A block of kSeedBlockBytes is known every block_stride() bytes: that many where the table may be
// as large as it likes. It holds at most about `table_bytes_max`.
constexpr std::uint64_t kSeedBlockBytes = 24;
std::uint64_t block_stride(std::uint64_t base_bytes, std::uint64_t table_bytes_max);
std::uint64_t block_seeds_bytes(std::uint64_t base_bytes);  // of the largest table
std::unique_ptr<Seeds> make_block_seeds(ByteSpan base, std::uint64_t table_bytes_max);
// Of regions alone, in order and without overlap.
std::unique_ptr<Seeds> make_block_seeds(ByteSpan base, const std::vector<Region>& regions,
                                        std::uint64_t table_bytes_max);

// Both, the best of each. They must outlive it.
std::unique_ptr<Seeds> join_seeds(const Seeds& a, const Seeds& b);

// Puts `seed` where it belongs among the `count` best so far (longest first, then nearest) and
// returns how many there are now: for the ones above.
std::size_t keep_seed(const Seed& seed, std::uint64_t base_offset_near, Seed* best,
                      std::size_t count);

}  // namespace layby::delta
