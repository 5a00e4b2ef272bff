#include "delta/seeds.h"

namespace layby::delta {

std::size_t keep_seed(const Seed& seed, std::uint64_t near, Seed* best, std::size_t count) {
  const auto distance = [near](const Seed& of) {
    return of.base_offset > near ? of.base_offset - near : near - of.base_offset;
  };
  std::size_t at = count;
  while (at > 0 && (seed.bytes > best[at - 1].bytes ||
                    (seed.bytes == best[at - 1].bytes && distance(seed) < distance(best[at - 1]))))
    --at;
  if (at == kSeedsMax) return count;
  if (count < kSeedsMax) ++count;
  for (std::size_t i = count - 1; i > at; --i) best[i] = best[i - 1];
  best[at] = seed;
  return count;
}

}  // namespace layby::delta
