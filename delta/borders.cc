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
constexpr std::size_t kCopyBytesMin = 14;                  // fewer are cheaper as new bytes
constexpr std::size_t kReachBytes = std::size_t{1} << 30;  // how far back a border may be
constexpr std::uint64_t kTableBytesMax = std::uint64_t{64} * 1024 * 1024;

// A block with numbers of several bytes: some of the bytes say that more follow, not all.
bool may_have_steps(ByteSpan block) {
  const auto continued = static_cast<std::size_t>(
      std::count_if(block.begin(), block.end(), [](std::uint8_t byte) { return byte >= 0x80; }));
  return continued > block.size() / 5 && continued < block.size() * 4 / 5;
}

}  // namespace

class Borders::Table {
 public:
  Table(ByteSpan target, std::uint64_t table_bytes)
      : target_(target),
        has_steps_((target.size() + kBlockBytes - 1) / kBlockBytes, Answer::kNotAsked),
        rows_(std::bit_floor(std::max<std::uint64_t>(table_bytes / sizeof(std::uint32_t), 1))) {}

  CopyList with_borders(std::uint64_t begin, std::uint64_t end, const CopyList& copies,
                        const std::stop_token& stop) {
    chunk_end_ = end;
    CopyList all;
    std::size_t at = begin;
    for (const Copy& copy : copies) {
      if (stop.stop_requested()) return copies;
      search(at, static_cast<std::size_t>(copy.target_offset), all);
      all.push_back(copy);
      at = static_cast<std::size_t>(copy.target_offset + copy.bytes);
    }
    search(at, static_cast<std::size_t>(end), all);
    return all;
  }

 private:
  enum class Answer : std::uint8_t { kNotAsked, kYes, kNo };

  bool has_steps(std::size_t at) {
    Answer& known = has_steps_[at / kBlockBytes];
    if (known == Answer::kNotAsked) {
      const std::size_t begin = at / kBlockBytes * kBlockBytes;
      const ByteSpan block = target_.subspan(begin, std::min(kBlockBytes, target_.size() - begin));
      known = may_have_steps(block) ? Answer::kYes : Answer::kNo;
    }
    return known == Answer::kYes;
  }

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
    return (hash >> 32) & (rows_ - 1);
  }

  // Remembers the steps that end before `end`, by where they end: the last 32 bits of that. Only
  // where there is something to be found that is done, and only then there is a table.
  void note_until(std::size_t end) {
    if (places_.empty()) places_.assign(rows_, 0);
    if (end - std::min(noted_, end) > kReachBytes) noted_ = end - kReachBytes;
    while (noted_ < end) {
      if (!has_steps(noted_)) {
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
      if (!has_steps(at)) {
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
      // The last place before this one that ends like that: another shows when it is compared.
      const std::uint32_t noted = places_[row(
          {turned_round(n[2]), turned_round(n[3]), turned_round(n[0]), turned_round(n[1])})];
      const std::uint64_t distance = static_cast<std::uint32_t>(at - noted);
      const std::uint64_t source = noted > 0 && distance <= at ? at - distance : 0;
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
  std::size_t grow(std::size_t at, std::size_t end, std::uint64_t source) const {
    end = std::min<std::size_t>(end, chunk_end_);
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
  std::vector<Answer> has_steps_;  // by block
  std::uint64_t rows_;
  std::uint64_t chunk_end_ = 0;
  std::vector<std::uint32_t> places_;
  std::size_t noted_ = 0;
};

Borders::Borders(ByteSpan target, std::uint64_t table_bytes)
    : table_(std::make_unique<Table>(target, table_bytes)) {}
Borders::~Borders() = default;

void Borders::add_to(std::uint64_t begin, std::uint64_t end, CopyList& copies,
                     const std::stop_token& stop) {
  copies = table_->with_borders(begin, end, copies, stop);
}

std::uint64_t border_table_bytes(std::uint64_t target_bytes) {
  return std::min(std::bit_ceil(target_bytes + 1) * sizeof(std::uint32_t), kTableBytesMax);
}

}  // namespace layby::delta
