#include "tests/crash/sample.h"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>

namespace layby::tests {

bool is_long_run() {
  const char* value = std::getenv("LAYBY_LONG");
  return value != nullptr && std::string(value) == "1";
}

std::uint32_t seed_of_run() {
  static const std::uint32_t seed = [] {
    const char* value = std::getenv("LAYBY_SEED");
    return value != nullptr ? static_cast<std::uint32_t>(std::strtoul(value, nullptr, 10))
                            : std::random_device()();
  }();
  return seed;
}

std::uint64_t sample_size(std::uint64_t wanted) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::uint64_t kShare = 5;
#else
  constexpr std::uint64_t kShare = 1;
#endif
  return std::max<std::uint64_t>(1, wanted / kShare);
}

std::set<std::uint64_t> sample_of(std::uint64_t total, std::uint64_t count, std::uint32_t seed) {
  std::set<std::uint64_t> chosen;
  std::mt19937_64 random(seed);
  const std::uint64_t size = is_long_run() ? total : std::min(total, sample_size(count));
  if (size == total)
    for (std::uint64_t i = 1; i <= total; ++i) chosen.insert(i);
  while (chosen.size() < size) chosen.insert(1 + random() % total);
  return chosen;
}

}  // namespace layby::tests
