// Adaptive probabilities and their mixing in the logistic domain, in integers only: the same bits
// come out on every processor and with every compiler.
//
// A Slot learns the probability of a 1 in one context, fast at first and slower with each bit. A
// Mixer weighs what several slots say, in a set of weights that a small context chooses, and learns
// which of them to believe. After M. Mahoney, "Adaptive Weighing of Context Models for Lossless
// Data Compression" (2005).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace layby::delta {

// ln(p / (1 - p)) in 1/256, from -2047 to 2047, of a probability in 1/65536; and back.
int stretch(std::uint32_t probability);
std::uint32_t squash(int logit);

// The upper 22 bits are a probability, the lower 10 count how often it was learnt.
using Slot = std::uint32_t;
constexpr Slot kFreshSlot = std::uint32_t{1} << 31;

inline std::uint32_t probability_of(Slot slot) {
  return slot >> 16;
}

// A slot never learns more slowly than one part in `limit` (2 to 1023).
void learn(Slot& slot, bool bit, std::uint32_t limit);

// A probability that the coder can take.
inline std::uint32_t codable(std::uint32_t probability) {
  return probability == 0 ? 1 : probability;
}

constexpr std::size_t kMixedMax = 12;

class Mixer {
 public:
  // `inputs` at most kMixedMax - 1: the mixer adds one that says "about even".
  Mixer(std::size_t inputs, std::size_t sets);

  // What the slots say together, with the weights of `set`.
  std::uint32_t mix(const std::span<Slot* const> slots, std::size_t set);
  // The bit that came: teaches weights and slots of the last mix().
  void learn(bool bit, std::uint32_t limit);

 private:
  std::size_t inputs_;
  std::vector<std::int32_t> weights_;
  std::int32_t* chosen_ = nullptr;
  std::array<std::int32_t, kMixedMax> logits_{};
  std::array<Slot*, kMixedMax> slots_{};
  std::uint32_t mixed_ = 0;
};

}  // namespace layby::delta
