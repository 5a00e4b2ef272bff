#include "delta/deflate_rules.h"

#include <array>

namespace layby::delta {
namespace {

struct Level {
  std::uint16_t good, lazy, nice, chain;
};

// The same in the whole family.
constexpr std::array<Level, 10> kLevels = {{{},
                                            {4, 4, 8, 4},
                                            {4, 5, 16, 8},
                                            {4, 6, 32, 32},
                                            {4, 4, 16, 16},
                                            {8, 16, 32, 32},
                                            {8, 16, 128, 128},
                                            {8, 32, 128, 256},
                                            {32, 128, 258, 1024},
                                            {32, 258, 258, 4096}}};
constexpr std::uint8_t kGreedyLevelMax = 3;

}  // namespace

DeflateRules rules_of(const DeflateRecipe& recipe) {
  const Level& level = kLevels.at(recipe.level);
  const bool is_zlib = recipe.family == DeflateFamily::kZlib;
  DeflateRules rules{};
  rules.family = recipe.family;
  rules.matcher = recipe.level <= kGreedyLevelMax ? Matcher::kGreedy : Matcher::kLazy;
  rules.good = level.good;
  rules.lazy = level.lazy;
  rules.nice = level.nice;
  rules.chain = level.chain;
  rules.match_min = recipe.strategy == DeflateStrategy::kFiltered ? 6 : kMatchMin;
  rules.hash_bits = is_zlib ? recipe.memory + 7U : 15U;
  rules.hash_shift = (rules.hash_bits + 2) / 3;
  rules.window_bytes = 1U << recipe.window_bits;
  rules.distance_max = rules.window_bytes - kLookaheadMin;
  rules.block_symbols_max = is_zlib ? (1U << (recipe.memory + 6)) - 1 : 0x7fff;
  rules.ends_blocks_early = !is_zlib && recipe.level > 2;
  rules.fixed_codes_only = recipe.strategy == DeflateStrategy::kFixed;
  return rules;
}

}  // namespace layby::delta
