// Adaptive probabilities and their mixing in the logistic domain, in integers only: the same bits
// come out on every processor and with every compiler.
//
// A Slot learns the probability of a 1 in one context, fast at first and slower with each bit. A
// Mixer weighs what several slots say, in a set of weights that small contexts choose, and learns
// which of them to believe. After M. Mahoney, "Adaptive Weighing of Context Models for Lossless
// Data Compression" (2005).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "delta/lanes.h"

namespace layby::delta {

// ln(p / (1 - p)) in 1/256, from -2047 to 2047, by the upper 12 bits of a probability; and back.
extern const std::array<std::int16_t, 4096> kStretch;
extern const std::array<std::uint16_t, 4096> kSquash;

// Of a probability in 1/65536.
inline int stretch(std::uint32_t probability) {
  return kStretch[probability >> 4];
}
inline std::uint32_t squash(int logit) {
  return kSquash[static_cast<std::size_t>(std::clamp(logit, -2047, 2047) + 2048)];
}

// The upper 22 bits are a probability, the lower 10 count how often it was learnt.
using Slot = std::uint32_t;
constexpr Slot kFreshSlot = std::uint32_t{1} << 31;

inline std::uint32_t probability_of(Slot slot) {
  return slot >> 16;
}

// 65536 / (n + 1.5)
extern const std::array<std::uint16_t, 1024> kRates;

// A slot never learns more slowly than one part in `limit` (2 to 1023).
inline void learn(Slot& slot, bool bit, std::uint32_t limit) {
  const std::uint32_t count = slot & 0x3ff;
  const auto probability = static_cast<std::int32_t>(slot >> 10);
  const std::int32_t wanted = bit ? (1 << 22) - 1 : 0;
  const auto moved = probability + static_cast<std::int32_t>(
                                       (std::int64_t{wanted - probability} * kRates[count]) >> 16);
  slot = static_cast<std::uint32_t>(moved) << 10 | std::min(count + 1, limit);
}

// For tables of very many: 12 bits of probability over 4 that count.
using ShortSlot = std::uint16_t;
constexpr ShortSlot kFreshShortSlot = 1 << 15;
extern const std::array<std::uint16_t, 16> kShortRates;  // in 1/65536

inline int stretch_short(ShortSlot slot) {
  return kStretch[slot >> 4];
}

// What many slots learn of one bit.
struct ShortLesson {
  explicit ShortLesson(bool bit) : wanted(bit ? 4095 : 0), rounding(bit ? 65535 : 0) {}
  std::int32_t wanted;
  std::int32_t rounding;  // away from where it is, so that it always moves and gets to the end
};

inline void learn_short(ShortSlot& slot, const ShortLesson& lesson) {
  const std::uint32_t count = slot & 15u;
  const std::int32_t missing = lesson.wanted - (slot >> 4);
  const std::int32_t move = (missing * kShortRates[count] + lesson.rounding) >> 16;
  slot = static_cast<ShortSlot>(slot + move * 16 + (count < 15 ? 1 : 0));
}

// A probability that the coder can take.
inline std::uint32_t codable(std::uint32_t probability) {
  return std::clamp<std::uint32_t>(probability, 1, 65535);
}

// Weighs up to kLogitsMax logits. The weights are those of two sets together, each chosen by a
// context of its own, or of one.
class Mixer {
 public:
  static constexpr std::size_t kLogitsMax = 7;

  // Without `second_sets` there is but one set at a time.
  Mixer(std::size_t first_sets, std::size_t second_sets)
      : second_(first_sets),
        weights_((first_sets + second_sets) * PlainLanes::kCount,
                 second_sets > 0 ? kFirstWeight / 2 : kFirstWeight) {}

  // The probability that the logits say together: `logit` of 0 to kLogitsMax - 1, 0 for none.
  template <class Logit>
  std::uint32_t mix(Logit logit, std::size_t set) {
    sets_[0] = &weights_[set * PlainLanes::kCount];
    return weigh(logit, Lanes::load(sets_[0]));
  }
  template <class Logit>
  std::uint32_t mix(Logit logit, std::size_t first, std::size_t second) {
    sets_[0] = &weights_[first * PlainLanes::kCount];
    sets_[1] = &weights_[(second_ + second) * PlainLanes::kCount];
    return weigh(logit, Lanes::load(sets_[0]).plus(Lanes::load(sets_[1])));
  }

  // What mix() said, in the logistic domain: -2047 to 2047.
  int logit() const { return logit_; }

  // The bit that came; after mix() with as many sets.
  void learn_one(bool bit) { teach(sets_[0], step(bit)); }
  void learn_two(bool bit) {
    const Lanes moves = step(bit);
    teach(sets_[0], moves);
    teach(sets_[1], moves);
  }

 private:
  static constexpr int kWeightBits = 13;  // of a weight behind the point
  static constexpr std::int16_t kFirstWeight = (1 << kWeightBits) * 4 / 10;
  static constexpr std::int16_t kBias = 256;  // one input more, which says "about even"

  template <class Logit>
  std::uint32_t weigh(Logit logit, const Lanes& weights) {
    logits_ = Lanes::of([&](std::size_t i) {
      return i < kLogitsMax ? static_cast<std::int16_t>(logit(i)) : kBias;
    });
    logit_ = std::clamp(logits_.dot(weights) >> kWeightBits, -2047, 2047);
    mixed_ = squash(logit_);
    return codable(mixed_);
  }
  Lanes step(bool bit) const {
    const std::int32_t error = ((bit ? 65535 : 0) - static_cast<std::int32_t>(mixed_)) >> 2;
    return logits_.scaled(static_cast<std::int16_t>(error));
  }
  static void teach(std::int16_t* weights, const Lanes& moves) {
    Lanes::load(weights).plus(moves).store(weights);
  }

  std::size_t second_;
  std::vector<std::int16_t> weights_;
  std::array<std::int16_t*, 2> sets_{};
  Lanes logits_ = Lanes::of([](std::size_t) { return std::int16_t{0}; });
  int logit_ = 0;
  std::uint32_t mixed_ = 0;
};

}  // namespace layby::delta
