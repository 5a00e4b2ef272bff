// Lanes with vector instructions against those without: the same numbers on every processor.
#include "delta/lanes.h"

#include <catch2/catch.hpp>

#include <random>

using namespace layby::delta;

namespace {

using Numbers = std::array<std::int16_t, PlainLanes::kCount>;

template <class AnyLanes>
Numbers stored(const AnyLanes& lanes) {
  Numbers numbers{};
  lanes.store(numbers.data());
  return numbers;
}

template <class AnyLanes>
struct Outcome {
  Numbers sums;
  Numbers scaled;
  std::int32_t dot;
  Numbers made;

  Outcome(const Numbers& a, const Numbers& b, std::int16_t factor) {
    const AnyLanes logits = AnyLanes::of([&](std::size_t i) { return a[i]; });
    const AnyLanes weights = AnyLanes::load(b.data());
    sums = stored(weights.plus(logits.scaled(factor)));
    scaled = stored(logits.scaled(factor));
    dot = logits.dot(weights);
    made = stored(logits);
  }
  bool operator==(const Outcome<PlainLanes>& other) const {
    return sums == other.sums && scaled == other.scaled && dot == other.dot && made == other.made;
  }
};

std::int16_t one_of(std::mt19937_64& random, int least, int most) {
  switch (random() % 8) {
    case 0: return static_cast<std::int16_t>(least);
    case 1: return static_cast<std::int16_t>(most);
    case 2: return static_cast<std::int16_t>(static_cast<int>(random() % 3) - 1);
    default:
      return static_cast<std::int16_t>(
          least + static_cast<int>(random() % static_cast<std::uint64_t>(most - least + 1)));
  }
}

}  // namespace

TEST_CASE("eight lanes make the same numbers with the processor's instructions and without") {
  std::mt19937_64 random(7);
  int wrong = 0;
  for (int i = 0; i < 200'000; ++i) {
    Numbers logits, weights;
    for (std::int16_t& logit : logits) logit = one_of(random, -8192, 8191);
    for (std::int16_t& weight : weights) weight = one_of(random, -32768, 32767);
    const std::int16_t factor = one_of(random, -32768, 32767);
    wrong +=
        !(Outcome<Lanes>(logits, weights, factor) == Outcome<PlainLanes>(logits, weights, factor));
  }
  CHECK(wrong == 0);
}

TEST_CASE("lanes saturate, and round halves upwards") {
  const auto all = [](std::int16_t number) {
    return Lanes::of([number](std::size_t) { return number; });
  };
  CHECK(stored(all(32767).plus(all(1)))[3] == 32767);
  CHECK(stored(all(-32768).plus(all(-1)))[0] == -32768);
  CHECK(stored(all(2).scaled(1 << 13))[7] == 1);   // a half
  CHECK(stored(all(-2).scaled(1 << 13))[7] == 0);  // minus a half
  CHECK(stored(all(-3).scaled(1 << 13))[7] == -1);
  CHECK(all(2047).dot(all(-32768)) == -2047 * 32768 * 8);
}
