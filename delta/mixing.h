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

inline void learn_short(ShortSlot& slot, bool bit) {
  const std::uint32_t count = slot & 15u;
  const std::int32_t probability = slot >> 4;
  const std::int32_t wanted = bit ? 4095 : 0;
  // Rounded away from where it is, so that it always moves and gets to the end.
  const std::int32_t moved =
      probability + (((wanted - probability) * kShortRates[count] + (bit ? 65535 : 0)) >> 16);
  slot = static_cast<ShortSlot>(static_cast<std::uint32_t>(moved) << 4 | std::min(count + 1, 15u));
}

// A probability that the coder can take.
inline std::uint32_t codable(std::uint32_t probability) {
  return std::clamp<std::uint32_t>(probability, 1, 65535);
}

constexpr std::int32_t kOneWeight = 1 << 16;

// The weights are those of two sets together, each chosen by a context of its own.
template <std::size_t kInputs>
class Mixer {
 public:
  using Logits = std::array<std::int32_t, kInputs>;

  Mixer(std::size_t first_sets, std::size_t second_sets)
      : second_(first_sets),
        weights_((first_sets + second_sets) * kStride,
                 second_sets > 0 ? kFirstWeight / 2 : kFirstWeight),
        is_paired_(second_sets > 0) {}

  // The probability that the logits say together.
  std::uint32_t mix(const Logits& logits, std::size_t first, std::size_t second = 0) {
    logits_ = logits;
    chosen_[0] = &weights_[first * kStride];
    std::int64_t sum = 0;
    if (is_paired_) {
      chosen_[1] = &weights_[(second_ + second) * kStride];
      for (std::size_t i = 0; i < kInputs; ++i)
        sum += std::int64_t{logits_[i]} * (chosen_[0][i] + chosen_[1][i]);
      sum += std::int64_t{kBias} * (chosen_[0][kInputs] + chosen_[1][kInputs]);
    } else {
      for (std::size_t i = 0; i < kInputs; ++i) sum += std::int64_t{logits_[i]} * chosen_[0][i];
      sum += std::int64_t{kBias} * chosen_[0][kInputs];
    }
    mixed_ = squash(static_cast<int>(std::clamp<std::int64_t>(sum >> 16, -2047, 2047)));
    return codable(mixed_);
  }

  // The bit that came.
  void learn(bool bit) {
    const std::int32_t error = ((bit ? 65535 : 0) - static_cast<std::int32_t>(mixed_)) >> 2;
    teach(chosen_[0], error);
    if (is_paired_) teach(chosen_[1], error);
  }

 private:
  static constexpr std::size_t kStride = kInputs + 1;
  static constexpr std::int32_t kBias = 256;  // one input more, which says "about even"
  static constexpr std::int32_t kFirstWeight = kOneWeight * 3 / 10;
  static constexpr int kShift = 12;  // how slowly weights move

  void teach(std::int32_t* weights, std::int32_t error) const {
    for (std::size_t i = 0; i < kInputs; ++i)
      weights[i] = std::clamp(weights[i] + ((logits_[i] * error) >> kShift), -16 * kOneWeight,
                              16 * kOneWeight);
    weights[kInputs] = std::clamp(weights[kInputs] + ((kBias * error) >> kShift), -16 * kOneWeight,
                                  16 * kOneWeight);
  }

  std::size_t second_;
  std::vector<std::int32_t> weights_;
  bool is_paired_;
  std::array<std::int32_t*, 2> chosen_{};
  Logits logits_{};
  std::uint32_t mixed_ = 0;
};

}  // namespace layby::delta
