#include "delta/deflate_recipe.h"

#include "base/assert.h"

namespace layby::delta {
namespace {

constexpr std::uint64_t kLevels = 9;
constexpr std::uint64_t kUsualRecipes = 3 * kLevels;
constexpr std::uint64_t kMemories = 9;
constexpr std::uint64_t kWindowBitsMin = 9;
constexpr std::uint64_t kWindowBitsMax = 15;
constexpr std::uint64_t kWindows = kWindowBitsMax - kWindowBitsMin + 1;
constexpr std::uint64_t kStrategies = 3;

bool is_usual(const DeflateRecipe& recipe) {
  const DeflateRecipe usual{.family = recipe.family, .level = recipe.level};
  return recipe == usual;
}

}  // namespace

std::uint64_t recipe_number(const DeflateRecipe& recipe) {
  LAYBY_ASSERT(recipe.level >= 1 && recipe.level <= kLevels);
  const std::uint64_t level = recipe.level - std::uint64_t{1};
  if (is_usual(recipe)) return static_cast<std::uint64_t>(recipe.family) * kLevels + level;
  LAYBY_ASSERT(recipe.family == DeflateFamily::kZlib);
  LAYBY_ASSERT(recipe.memory >= 1 && recipe.memory <= kMemories);
  LAYBY_ASSERT(recipe.window_bits >= kWindowBitsMin && recipe.window_bits <= kWindowBitsMax);
  std::uint64_t number = static_cast<std::uint64_t>(recipe.strategy);
  number = number * kWindows + (kWindowBitsMax - recipe.window_bits);
  number = number * kMemories + (kMemories - recipe.memory);
  return kUsualRecipes + number * kLevels + level;
}

Result<DeflateRecipe> recipe_from_number(std::uint64_t number) {
  DeflateRecipe recipe;
  recipe.level = static_cast<std::uint8_t>(1 + number % kLevels);
  if (number < kUsualRecipes) {
    recipe.family = static_cast<DeflateFamily>(number / kLevels);
    return recipe;
  }
  std::uint64_t rest = (number - kUsualRecipes) / kLevels;
  recipe.family = DeflateFamily::kZlib;
  recipe.memory = static_cast<std::uint8_t>(kMemories - rest % kMemories);
  rest /= kMemories;
  recipe.window_bits = static_cast<std::uint8_t>(kWindowBitsMax - rest % kWindows);
  rest /= kWindows;
  if (rest < kStrategies) {
    recipe.strategy = static_cast<DeflateStrategy>(rest);
    if (!is_usual(recipe)) return recipe;  // those have a number of their own
  }
  return fail(ErrorCode::kBadPayload, "no deflate recipe has the number {}", number);
}

}  // namespace layby::delta
