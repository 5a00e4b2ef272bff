#include "delta/borders.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "delta/common_prefix.h"
#include "delta/mirror.h"

namespace layby::delta {
namespace {

constexpr std::size_t kBlockBytes = 4096;
constexpr std::size_t kCopyBytesMin = 14;  // fewer are cheaper as new bytes
// New bytes among numbers that are worth a search.
constexpr std::size_t kWorthBytes = 4096;

// A block with numbers of several bytes: some of the bytes say that more follow, not all.
bool may_have_steps(ByteSpan block) {
  const auto continued = static_cast<std::size_t>(
      std::count_if(block.begin(), block.end(), [](std::uint8_t byte) { return byte >= 0x80; }));
  return continued > block.size() / 5 && continued < block.size() * 4 / 5;
}

class Borders {
 public:
  Borders(ByteSpan target, std::span<const std::uint64_t> chunk_ends)
      : target_(target), chunk_ends_(chunk_ends) {
    for (std::size_t at = 0; at < target.size(); at += kBlockBytes) {
      has_steps_.push_back(
          may_have_steps(target.subspan(at, std::min(kBlockBytes, target.size() - at))));
      blocks_ += has_steps_.back() ? 1 : 0;
    }
  }

  bool is_worth_it(const CopyList& copies) const {
    std::size_t bytes = 0;
    std::uint64_t at = 0;
    for (const Copy& copy : copies) {
      if (copy.target_offset - at >= kCopyBytesMin && has_steps_[at / kBlockBytes])
        bytes += copy.target_offset - at;
      at = copy.target_offset + copy.bytes;
    }
    bytes += target_.size() - at;
    return bytes >= kWorthBytes && blocks_ > 0;
  }

  CopyList run(const CopyList& copies, std::stop_token stop) {
    const std::uint64_t rows =
        std::min(std::bit_ceil(blocks_ * kBlockBytes), kBorderTableBytes / sizeof(std::uint32_t));
    places_.assign(static_cast<std::size_t>(rows), 0);
    CopyList all;
    std::size_t at = 0;
    for (const Copy& copy : copies) {
      if (stop.stop_requested()) return copies;
      search(at, static_cast<std::size_t>(copy.target_offset), all);
      all.push_back(copy);
      at = static_cast<std::size_t>(copy.target_offset + copy.bytes);
      note_until(at);
    }
    search(at, target_.size(), all);
    return all;
  }

 private:
  // Two steps, as their four numbers; and where they end.
  struct Steps {
    std::array<std::uint64_t, 4> numbers{};
    std::size_t second = 0;  // where the second number begins
    std::size_t end = 0;
  };

  std::optional<Steps> steps_at(std::size_t at) const {
    Steps steps;
    for (std::size_t i = 0; i < 4; ++i) {
      int shift = 0;
      do {
        if (at == target_.size() || shift > 28) return std::nullopt;
        steps.numbers[i] |= std::uint64_t{target_[at] & 0x7fu} << shift;
        shift += 7;
      } while (target_[at++] >= 0x80);
      if (i == 0) steps.second = at;
    }
    steps.end = at;
    return steps;
  }

  std::size_t row(const std::array<std::uint64_t, 4>& numbers) const {
    std::uint64_t hash = 0;
    for (const std::uint64_t number : numbers)
      hash = (hash ^ hash >> 29 ^ number) * 0x9e3779b97f4a7c15ull;
    return (hash >> 32) & (places_.size() - 1);
  }

  // Remembers the steps that end before `end`, by where they end.
  void note_until(std::size_t end) {
    while (noted_ < end) {
      if (!has_steps_[noted_ / kBlockBytes]) {
        noted_ = (noted_ / kBlockBytes + 1) * kBlockBytes;
        continue;
      }
      const std::optional<Steps> steps = steps_at(noted_);
      if (!steps) {
        ++noted_;
        continue;
      }
      if (steps->end > end) return;
      places_[row(steps->numbers)] = static_cast<std::uint32_t>(steps->end);
      noted_ = steps->second;
    }
  }

  // Of the new bytes [begin, end).
  void search(std::size_t begin, std::size_t end, CopyList& found) {
    std::size_t at = begin;
    while (at + kCopyBytesMin <= end) {
      if (!has_steps_[at / kBlockBytes]) {
        at = (at / kBlockBytes + 1) * kBlockBytes;
        continue;
      }
      note_until(at);
      const std::optional<Steps> steps = steps_at(at);
      if (!steps) {
        ++at;
        continue;
      }
      const auto& n = steps->numbers;
      const std::uint32_t source = places_[row(
          {turned_round(n[2]), turned_round(n[3]), turned_round(n[0]), turned_round(n[1])})];
      const std::size_t bytes = source > 0 ? grow(at, end, source) : 0;
      if (bytes < kCopyBytesMin) {
        at = steps->second;
        continue;
      }
      found.push_back({at, source, bytes, Copy::Source::kMirror});
      at += bytes;
    }
  }

  // How many bytes at `at` are the mirrored ones before `source`.
  std::size_t grow(std::size_t at, std::size_t end, std::uint32_t source) const {
    end = std::min<std::size_t>(end, *std::upper_bound(chunk_ends_.begin(), chunk_ends_.end(), at));
    const auto read = [&](std::uint64_t from, MutableByteSpan into) -> Result<void> {
      std::memcpy(into.data(), &target_[static_cast<std::size_t>(from)], into.size());
      return {};
    };
    Mirror mirror(source, read);
    std::array<std::uint8_t, 256> made;
    std::size_t bytes = 0;
    while (at + bytes < end) {
      const ByteSpan rest = target_.subspan(at + bytes, end - at - bytes);
      const auto filled = mirror.fill(MutableByteSpan(made));
      if (!filled) break;
      const std::size_t equal = common_prefix(ByteSpan(made).first(*filled), rest);
      bytes += equal;
      if (equal < made.size()) break;
    }
    return bytes;
  }

  ByteSpan target_;
  std::span<const std::uint64_t> chunk_ends_;
  std::vector<bool> has_steps_;  // by block
  std::uint64_t blocks_ = 0;     // that have
  std::vector<std::uint32_t> places_;
  std::size_t noted_ = 0;
};

}  // namespace

void add_borders(ByteSpan target, std::span<const std::uint64_t> chunk_ends, CopyList& copies,
                 std::stop_token stop) {
  if (target.empty() || target.size() >> 32 != 0) return;
  Borders borders(target, chunk_ends);
  if (borders.is_worth_it(copies)) copies = borders.run(copies, stop);
}

}  // namespace layby::delta
