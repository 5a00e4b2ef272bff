#include "delta/mixing.h"

#include <algorithm>

#include "base/assert.h"

namespace layby::delta {
namespace {

// 65536 / (1 + exp(-x / 256)) at x = -2048, -1920, ... 2048.
constexpr std::array<std::uint32_t, 33> kSigmoid = {
    22,    36,    60,    98,    162,   267,   439,   720,   1179,  1921,  3108,
    4971,  7812,  11955, 17625, 24743, 32768, 40793, 47911, 53581, 57724, 60565,
    62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514};

constexpr std::array<std::uint16_t, 4096> make_squash() {
  std::array<std::uint16_t, 4096> table{};
  for (std::uint32_t i = 0; i < 4096; ++i) {
    const std::uint32_t at = i / 128;
    const std::uint32_t part = i % 128;
    table[i] = static_cast<std::uint16_t>(
        (kSigmoid[at] * (128 - part) + kSigmoid[at + 1] * part + 64) / 128);
  }
  return table;
}

// By the upper 12 bits of the probability.
constexpr std::array<std::int16_t, 4096> make_stretch(
    const std::array<std::uint16_t, 4096>& squashed) {
  std::array<std::int16_t, 4096> table{};
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < 4096; ++i) {
    while (at < 4095 && squashed[at] < i * 16 + 8) ++at;
    table[i] = static_cast<std::int16_t>(std::max<int>(static_cast<int>(at) - 2048, -2047));
  }
  return table;
}

// 65536 / (n + 1.5)
constexpr std::array<std::uint16_t, 1024> make_rates() {
  std::array<std::uint16_t, 1024> table{};
  for (std::uint32_t n = 0; n < 1024; ++n)
    table[n] = static_cast<std::uint16_t>(131072 / (2 * n + 3));
  return table;
}

constexpr auto kSquash = make_squash();
constexpr auto kStretch = make_stretch(kSquash);
constexpr auto kRates = make_rates();

constexpr std::int32_t kOneWeight = 1 << 16;
constexpr std::int32_t kFirstWeight = kOneWeight * 3 / 10;
// How slowly weights move.
constexpr int kMixerShift = 12;

}  // namespace

int stretch(std::uint32_t probability) {
  return kStretch[probability >> 4];
}

std::uint32_t squash(int logit) {
  return kSquash[static_cast<std::size_t>(std::clamp(logit, -2047, 2047) + 2048)];
}

void learn(Slot& slot, bool bit, std::uint32_t limit) {
  const std::uint32_t count = slot & 0x3ff;
  const auto probability = static_cast<std::int32_t>(slot >> 10);
  const std::int32_t wanted = bit ? (1 << 22) - 1 : 0;
  const auto moved = probability + static_cast<std::int32_t>(
                                       (std::int64_t{wanted - probability} * kRates[count]) >> 16);
  slot = static_cast<std::uint32_t>(moved) << 10 | std::min(count + 1, limit);
}

Mixer::Mixer(std::size_t inputs, std::size_t sets) : inputs_(inputs) {
  LAYBY_ASSERT(inputs < kMixedMax);
  weights_.assign((inputs + 1) * sets, kFirstWeight);
}

std::uint32_t Mixer::mix(const std::span<Slot* const> slots, std::size_t set) {
  chosen_ = &weights_[set * (inputs_ + 1)];
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < inputs_; ++i) {
    slots_[i] = slots[i];
    logits_[i] = stretch(probability_of(*slots[i]));
    sum += std::int64_t{logits_[i]} * chosen_[i];
  }
  logits_[inputs_] = 256;
  sum += std::int64_t{logits_[inputs_]} * chosen_[inputs_];
  mixed_ = squash(static_cast<int>(std::clamp<std::int64_t>(sum >> 16, -2047, 2047)));
  return codable(mixed_);
}

void Mixer::learn(bool bit, std::uint32_t limit) {
  const std::int32_t error = (bit ? 65535 : 0) - static_cast<std::int32_t>(mixed_);
  for (std::size_t i = 0; i <= inputs_; ++i) {
    const std::int32_t step = (logits_[i] * (error >> 2)) >> kMixerShift;
    chosen_[i] = std::clamp(chosen_[i] + step, -16 * kOneWeight, 16 * kOneWeight);
  }
  for (std::size_t i = 0; i < inputs_; ++i) delta::learn(*slots_[i], bit, limit);
}

}  // namespace layby::delta
