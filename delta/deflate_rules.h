// What a recipe means for the search: the family's tables.
#pragma once

#include <cstdint>

#include "delta/deflate_recipe.h"

namespace layby::delta {

inline constexpr std::uint32_t kMatchMin = 3;
inline constexpr std::uint32_t kMatchMax = 258;
// With less than this ahead the family fetches more text, or knows that there is none.
inline constexpr std::uint32_t kLookaheadMin = kMatchMax + kMatchMin + 1;
// A match of three bytes from farther away is dropped by the lazy matcher.
inline constexpr std::uint32_t kTooFar = 4096;

enum class Matcher : std::uint8_t { kGreedy, kLazy };

struct DeflateRules {
  Matcher matcher;
  std::uint32_t good;  // from this length of the match before on, a quarter of the chain
  std::uint32_t lazy;  // lazy: no search after such a match; greedy: what is inserted of a match
  std::uint32_t nice;  // the first match of this length ends the search
  std::uint32_t chain;
  std::uint32_t match_min;  // shorter ones are dropped by the lazy matcher
  std::uint32_t hash_bits;
  std::uint32_t hash_shift;
  std::uint32_t window_bytes;
  std::uint32_t distance_max;
  std::uint32_t block_symbols_max;
  bool ends_blocks_early;  // when a multiple of 4,096 symbols has shrunk to half
  bool fixed_codes_only;
  DeflateFamily family;

  bool is_gzip() const { return family == DeflateFamily::kGzip; }
};

DeflateRules rules_of(const DeflateRecipe& recipe);

}  // namespace layby::delta
