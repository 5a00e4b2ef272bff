// What CoderId::kMixed learns while it codes a chunk. The next one begins anew: chunks stand for
// themselves. Sizes are part of the format.
#pragma once

#include <algorithm>

#include "base/bytes.h"
#include "delta/address_table.h"
#include "delta/copy.h"
#include "delta/mixed_tables.h"

namespace layby::delta {

// Finds what followed the last time that the chunk had the same few bytes among its new ones.
class RepeatFinder {
 public:
  RepeatFinder() : last_(std::size_t{1} << kTableBits, 0) {}

  // `made`: the chunk so far.
  Guess guess(ByteSpan made) const {
    if (at_ == 0 || at_ >= made.size()) return {};
    return {std::min<std::size_t>(length_, Guess::kStrengths - 1), made[at_]};
  }

  // After bytes that were copied: of many, the last ones.
  void note_copied(ByteSpan made, std::uint64_t copied) {
    at_ = length_ = 0;
    for (std::uint64_t i = std::min<std::uint64_t>(copied, kCopiedBytes); i-- > 0;) {
      const ByteSpan until = made.first(made.size() - i);
      if (until.size() >= kBytes) last_[row(until)] = static_cast<std::uint32_t>(until.size());
    }
  }

  // After a new byte.
  void note(ByteSpan made) {
    if (made.size() < kBytes) return;
    if (at_ > 0 && made[at_] == made.back()) {
      ++at_;
      ++length_;
    } else {
      at_ = 0;
      length_ = 0;
    }
    std::uint32_t& last = last_[row(made)];
    if (at_ == 0 && last > 0) {
      at_ = last;
      while (length_ < kLengthMax && length_ < at_ &&
             made[at_ - 1 - length_] == made[made.size() - 1 - length_])
        ++length_;
      if (length_ < kBytes) at_ = length_ = 0;
    }
    last = static_cast<std::uint32_t>(made.size());
  }

 private:
  static constexpr int kTableBits = 16;
  static constexpr std::size_t kBytes = 5;
  static constexpr std::size_t kLengthMax = 32;
  static constexpr std::uint64_t kCopiedBytes = 1024;

  static std::size_t row(ByteSpan made) {
    std::uint64_t bytes = 0;  // the last one highest
    if (made.size() >= sizeof bytes)
      bytes = load_u64(&made[made.size() - sizeof bytes]) >> (8 * (sizeof bytes - kBytes));
    else
      for (std::size_t i = 1; i <= kBytes; ++i) bytes = bytes << 8 | made[made.size() - i];
    return hash_context(0, bytes) >> (32 - kTableBits);
  }

  std::vector<std::uint32_t> last_;
  std::size_t at_ = 0;  // 0: no repeat
  std::size_t length_ = 0;
};

// Which of two spellings of a field is expected, where the learnt move and "unchanged" differ.
class FieldChoice {
 public:
  bool expects_move(std::size_t context) const { return scores_[context] >= 0; }
  void learn(std::size_t context, bool was_move) {
    std::int8_t& score = scores_[context];
    if (was_move && score < 7) ++score;
    if (!was_move && score > -8) --score;
  }
  static constexpr std::size_t kContexts = kFieldRoles * 4;

 private:
  std::array<std::int8_t, kContexts> scores_{};
};

// The small part.
struct MixedHistory {
  MixedHistory() {
    copy_slots.fill(kFreshSlot);
    stretch_slots.fill(kFreshSlot);
    field_slots.fill(kFreshSlot);
  }

  static constexpr std::size_t kRecentCopies = 4;
  std::array<Slot, kRecentCopies + 1> copy_slots;
  std::array<std::uint64_t, kRecentCopies> recent{};  // alignments of the base, the last one first

  std::uint64_t mirrored_to = 0;  // where the last mirrored copy began, in the target

  // Whether stretches of copies are as expected: a bit for each, the last one lowest.
  std::array<Slot, 16 + 256> stretch_slots;
  std::uint32_t supers = 0;
  std::uint32_t blocks = 0;

  std::uint32_t misses = 0;      // a bit for each byte or field, the last one lowest
  std::uint32_t since_miss = 0;  // bytes
  std::uint32_t last_gap = 0;
  std::array<std::uint8_t, 2> last_differences{};

  std::uint32_t module = ~std::uint32_t{0};  // that the shifts are of
  FieldChoice choice;
  std::array<Slot, kFieldRoles * std::size_t{4}> field_slots;
  std::array<std::uint8_t, kFieldRoles> role_misses{};
};

struct MixedState {
  NumberModel new_counts;
  NumberModel copy_counts;
  NumberModel jumps;
  NumberModel field_units;
  FlagModel<4> misses{16, 64};
  NibbleTable lines{14};  // of all bytes; half a MiB, as the cache of a small core holds it
  ByteModel<4> differences{lines, 0, 2};
  FlagModel<4> field_misses{14, 64};
  ByteModel<2> other_fields{lines, 10, 1};
  ByteModel<6> literals{lines, 20, 3};
  RepeatFinder repeats;
  ShiftMap shifts;
  MixedHistory history;
};

}  // namespace layby::delta
