// How much a run of these tests tries: a sample with a seed that is printed (LAYBY_SEED replays
// it), or everything with LAYBY_LONG=1.
#pragma once

#include <cstdint>
#include <set>

namespace layby::tests {

bool is_long_run();
std::uint32_t seed_of_run();
// Sanitizers make everything several times slower: a smaller sample then.
std::uint64_t sample_size(std::uint64_t wanted);
// `count` numbers of 1 to `total`, all of them in a long run.
std::set<std::uint64_t> sample_of(std::uint64_t total, std::uint64_t count, std::uint32_t seed);

}  // namespace layby::tests
