#include "delta/mixing.h"

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

constexpr std::array<std::uint16_t, 1024> make_rates() {
  std::array<std::uint16_t, 1024> table{};
  for (std::uint32_t n = 0; n < 1024; ++n)
    table[n] = static_cast<std::uint16_t>(131072 / (2 * n + 3));
  return table;
}

}  // namespace

constexpr std::array<std::uint16_t, 4096> kSquash = make_squash();
constexpr std::array<std::int16_t, 4096> kStretch = make_stretch(kSquash);
constexpr std::array<std::uint16_t, 1024> kRates = make_rates();
constexpr std::array<std::uint16_t, 16> kShortRates = {43690, 26214, 18724, 14563, 11915, 10082,
                                                       8738,  7710,  6898,  6241,  5698,  5041,
                                                       4369,  3640,  2979,  2340};

}  // namespace layby::delta
