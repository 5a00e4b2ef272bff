// Finds the match that the family's search finds: the longest of those that begin at the first so
// many positions of a chain, the nearest of equals.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "delta/deflate_chains.h"
#include "delta/deflate_rules.h"

namespace layby::delta {

struct DeflateMatch {
  std::uint32_t length = 2;  // below kMatchMin: none
  std::uint32_t distance = 0;
};

class DeflateMatcher {
 public:
  DeflateMatcher();

  // The text must live as long as it is searched, and be at most kDeflateTextBytesMax long.
  void begin(ByteSpan text, const DeflateRules& rules, std::uint64_t steps_max);

  // Positions from `begin` to before `end`, all that the family inserts, in order; before they are
  // searched.
  void insert(std::uint32_t begin, std::uint32_t end);

  // The best match of the text at `at`, which was inserted last, that is longer than `length`; that
  // length and no distance where there is none. `window_begin` and all before it are out of reach.
  // Never longer than the text; what reaches beyond it counts as the rules say.
  DeflateMatch longest(std::uint32_t at, std::uint32_t length, std::uint32_t window_begin);

  bool is_out_of_steps() const { return steps_left_ < 0; }
  std::uint64_t steps_left() const { return steps_left_ < 0 ? 0 : std::uint64_t(steps_left_); }

 private:
  struct Search;

  void insert_near(std::uint32_t begin, std::uint32_t end);
  std::uint32_t short_hash(std::uint32_t at) const;
  bool is_reachable(const Search& search, std::uint32_t candidate) const;
  DeflateMatch walk(const Search& search, std::uint32_t length, std::uint32_t enough);
  DeflateMatch walk_key(const PositionChains& chains, const Search& search, std::uint32_t length,
                        std::uint32_t enough);
  std::uint32_t farthest_for(const Search& search, std::uint32_t length) const;
  DeflateMatch walk_by_keys(const Search& search, std::uint32_t length);
  DeflateMatch walk_past_end(const Search& search, std::uint32_t length);
  std::uint8_t byte_past_end(std::uint32_t at, std::uint32_t window_begin) const;

  ByteSpan text_;
  DeflateRules rules_{};
  std::uint32_t size_ = 0;
  std::uint32_t origin_ = 0;
  std::int64_t steps_left_ = 0;
  bool has_keys_ = false;

  // The family's own, with its hash: what it visits is counted along these.
  CountedChains by_3_;
  // Not in the family: longer keys find the same match on shorter ways.
  PositionChains by_4_;
  PositionChains by_6_;
};

}  // namespace layby::delta
