// Runs a fuzz target without libFuzzer: the seeds, then mutations of them from a fixed seed.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;
using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) {
  return limit == 0 ? 0 : static_cast<std::size_t>(random() % limit);
}

void mutate(Input& input, Random& random) {
  const std::size_t at = below(random, input.size() + 1);
  const auto where = input.begin() + static_cast<std::ptrdiff_t>(at);
  const auto rest = static_cast<std::size_t>(input.end() - where);
  const auto end =
      where + static_cast<std::ptrdiff_t>(below(random, std::min<std::size_t>(rest, 32) + 1));
  switch (below(random, 5)) {
    case 0:
      if (rest > 0) *where ^= static_cast<std::uint8_t>(1U << below(random, 8));
      break;
    case 1: input.insert(where, static_cast<std::uint8_t>(random())); break;
    case 2: input.erase(where, end); break;
    case 3: {
      const Input copy(where, end);
      input.insert(input.begin() + static_cast<std::ptrdiff_t>(below(random, input.size() + 1)),
                   copy.begin(), copy.end());
      break;
    }
    default:
      if (rest > 0)
        *where = static_cast<std::uint8_t>("\"\\{}[]:,09-/.\x00\xff "[below(random, 16)]);
  }
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Input> seeds;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  if (seeds.empty()) {
    std::fprintf(stderr, "usage: %s CORPUS...\n", argv[0]);
    return 2;
  }
  for (const Input& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  const std::uint64_t rounds = LAYBY_FUZZ_ROUNDS * (number_from("LAYBY_LONG", 0) != 0 ? 100 : 1);
  const std::uint64_t seed = number_from("LAYBY_SEED", 1);
  Random random(seed);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    Input input = seeds[below(random, seeds.size())];
    for (std::size_t i = 1 + below(random, 4); i > 0; --i) mutate(input, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu seeds, %llu mutations, LAYBY_SEED=%llu\n", seeds.size(),
              static_cast<unsigned long long>(rounds), static_cast<unsigned long long>(seed));
}
