#include "delta/new_byte_costs.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace layby::delta {
namespace {

// In sixteenths of a bit, as measured: prose and sources; code and records; numbers without end.
constexpr int kText = 27;
constexpr int kLeast = 60;
constexpr int kMost = 6 * 16;
constexpr int kContextGain = 36;  // against the bytes one by one

using Counts = std::array<std::uint32_t, 256>;

bool is_text(const Counts& counts, std::size_t bytes) {
  std::size_t others = 0;
  for (std::size_t i = 0; i < 256; ++i)
    if ((i < ' ' && i != '\n' && i != '\r' && i != '\t') || i > '~') others += counts[i];
  return others <= bytes / 16;
}

// Of the bytes one by one.
int entropy(const Counts& counts, std::size_t bytes) {
  double bits = 0;
  for (const std::uint32_t count : counts)
    if (count > 0) bits += count * std::log2(static_cast<double>(bytes) / count);
  return static_cast<int>(bits * 16 / static_cast<double>(bytes));
}

}  // namespace

NewByteCosts::NewByteCosts(ByteSpan bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += kBlockBytes) {
    const ByteSpan block = bytes.subspan(at, std::min(kBlockBytes, bytes.size() - at));
    Counts counts{};
    for (const std::uint8_t byte : block) ++counts[byte];
    const int cost = is_text(counts, block.size())
                         ? kText
                         : std::clamp(entropy(counts, block.size()) - kContextGain, kLeast, kMost);
    costs_.push_back(static_cast<std::uint8_t>(cost));
  }
}

}  // namespace layby::delta
