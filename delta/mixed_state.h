// Everything that coding a chunk with CoderId::kMixed changes and the next chunk needs.
#pragma once

#include "delta/address_table.h"
#include "delta/copy.h"
#include "delta/mixed_tables.h"

namespace layby::delta {

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

struct MixedState {
  static constexpr std::size_t kRecentCopies = 4;

  // Copies and new bytes.
  NumberModel new_counts;
  NumberModel copy_counts;
  NumberModel jumps;
  std::array<Slot, 64> copy_slots;
  std::array<std::uint64_t, kRecentCopies> recent{};  // alignments of the base, the last one first
  std::uint64_t target_alignment = 0;

  // Whether stretches of copies are as expected.
  std::array<Slot, 1024> stretch_slots;
  std::uint32_t super_history = 0;
  std::uint32_t block_history = 0;

  // Differences of copies.
  FlagModel<7> misses{18, 64};
  ByteModel<7> differences{18, 2};
  std::uint32_t miss_history = 0;  // a bit for each byte or field, the last one lowest
  std::uint32_t since_miss = 0;    // bytes
  std::uint32_t last_gap = 0;
  std::array<std::uint8_t, 3> last_differences{};

  // Addresses.
  ShiftMap shifts;
  std::uint32_t module = ~std::uint32_t{0};
  FieldChoice choice;
  FlagModel<4> field_misses{14, 64};
  std::array<Slot, 1024> field_slots;
  NumberModel field_units;
  ByteModel<2> others{12, 1};
  std::array<std::uint8_t, kFieldRoles> role_history{};

  // New bytes.
  ByteModel<7> literals{18, 3};

  MixedState() {
    copy_slots.fill(kFreshSlot);
    stretch_slots.fill(kFreshSlot);
    field_slots.fill(kFreshSlot);
  }
};

}  // namespace layby::delta
