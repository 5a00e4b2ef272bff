// What CoderId::kMixed learns while it codes: all of it lies here, so that it can be kept from one
// chunk to the next. Sizes are part of the format.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "delta/mixing.h"
#include "delta/shift_map.h"

namespace layby::delta {

inline std::uint32_t hash_context(std::uint32_t which, std::uint64_t context) {
  const std::uint64_t mixed = (context + which * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;
  return static_cast<std::uint32_t>((mixed ^ mixed >> 32) * 0x9fb21c651e98df25ull >> 32);
}

template <class Bits>
bool code_bit(Bits& bits, Slot& slot, bool bit, std::uint32_t limit) {
  bit = bits(codable(probability_of(slot)), bit);
  learn(slot, bit, limit);
  return bit;
}

// One bit in several contexts. Contexts that differ in their lowest four bits alone lie together,
// in one line of the processor's cache: those that follow each other should.
template <std::size_t kContexts>
class FlagModel {
  static_assert(kContexts <= Mixer::kLogitsMax);

 public:
  FlagModel(int table_bits, std::size_t sets)
      : shift_(64 - (table_bits - kLineBits)),
        slots_((std::size_t{1} << table_bits) + kLineSlots, kFreshSlot),
        first_(slots_.data() + slots_to_line(slots_.data())),
        mixer_(sets, 0) {}
  FlagModel(const FlagModel&) = delete;
  FlagModel& operator=(const FlagModel&) = delete;

  template <class Bits>
  bool code(Bits& bits, const std::array<std::uint64_t, kContexts>& contexts, std::size_t set,
            bool bit) {
    std::array<Slot*, kContexts> slots;
    for (std::size_t i = 0; i < kContexts; ++i) slots[i] = at(i, contexts[i]);
    const auto logit = [&](std::size_t i) {
      return i < kContexts ? stretch(probability_of(*slots[i])) : 0;
    };
    bit = bits(mixer_.mix(logit, set), bit);
    mixer_.learn_one(bit);
    for (Slot* slot : slots) learn(*slot, bit, kLimit);
    return bit;
  }

  // Says that context number `which` will be this one soon.
  void expect(std::size_t which, std::uint64_t context) const {
    __builtin_prefetch(at(which, context), 1);
  }

 private:
  static constexpr std::uint32_t kLimit = 150;
  static constexpr int kLineBits = 4;
  static constexpr std::size_t kLineSlots = std::size_t{1} << kLineBits;

  static std::size_t slots_to_line(const Slot* slots) {
    constexpr std::size_t kLineBytes = kLineSlots * sizeof(Slot);
    return (kLineBytes - reinterpret_cast<std::uintptr_t>(slots) % kLineBytes) / sizeof(Slot);
  }

  Slot* at(std::size_t which, std::uint64_t context) const {
    const std::uint64_t line =
        ((context >> kLineBits) + which * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull >> shift_;
    return first_ + (line << kLineBits | (context & (kLineSlots - 1)));
  }

  int shift_;
  std::vector<Slot> slots_;
  Slot* first_;
  Mixer mixer_;
};

// A byte that is thought to come, and how surely.
struct Guess {
  static constexpr std::size_t kStrengths = 32;
  std::size_t strength = 0;  // below kStrengths; 0: there is none
  std::uint8_t byte = 0;
};

// Contexts and what was learnt in them, half a byte at a time. A context that comes anew takes the
// place of the less used one of two, and begins knowing nothing.
class NibbleTable {
 public:
  explicit NibbleTable(int line_bits)
      : lines_(std::size_t{1} << line_bits), slots_((lines_ + 2) * kLineSlots, kFreshShortSlot) {
    // Both lines of a hash in one line of the processor's cache.
    const auto at = reinterpret_cast<std::uintptr_t>(slots_.data());
    first_ = slots_.data() + (kCacheLineBytes - at % kCacheLineBytes) / sizeof(ShortSlot);
    for (std::size_t i = 0; i < lines_; ++i) first_[i * kLineSlots] = 0;
  }
  NibbleTable(const NibbleTable&) = delete;
  NibbleTable& operator=(const NibbleTable&) = delete;

  // Sixteen slots: the first says whose line it is, the others are the nodes of a binary tree of
  // four bits.
  ShortSlot* find(std::uint32_t hash) const {
    const auto check = static_cast<ShortSlot>(hash >> 16 ^ hash << 8);
    ShortSlot* const one = at(hash);
    if (one[0] == check) return one;
    ShortSlot* const other = one + kLineSlots;
    if (other[0] == check) return other;
    ShortSlot* const poorer = (one[1] & 15) <= (other[1] & 15) ? one : other;
    std::fill_n(poorer, kLineSlots, kFreshShortSlot);
    poorer[0] = check;
    return poorer;
  }
  // Says that find() will come: several memory accesses are then under way at once.
  void expect(std::uint32_t hash) const { __builtin_prefetch(at(hash), 1); }

 private:
  static constexpr std::size_t kLineSlots = 16;
  static constexpr std::size_t kCacheLineBytes = 64;

  ShortSlot* at(std::uint32_t hash) const { return first_ + (hash & (lines_ - 2)) * kLineSlots; }

  std::size_t lines_;
  std::vector<ShortSlot> slots_;
  ShortSlot* first_;
};

// Corrects what a mixer says by what came when it said so, in a few contexts.
class Refinement {
 public:
  explicit Refinement(std::size_t contexts) : slots_(contexts * kSteps) {
    for (std::size_t i = 0; i < slots_.size(); ++i)
      slots_[i] = squash(static_cast<int>(i % kSteps * kStep) - 2048) << 16 | kFirstCount;
  }

  // Half of what was said and half of what it turned out to mean.
  std::uint32_t refine(std::size_t context, int logit, std::uint32_t probability) {
    const auto at = static_cast<std::uint32_t>(logit + 2048);
    const std::uint32_t part = at % kStep;
    Slot* const slots = &slots_[context * kSteps + at / kStep];
    nearer_ = &slots[part < kStep / 2 ? 0 : 1];
    const std::uint32_t refined =
        (probability_of(slots[0]) * (kStep - part) + probability_of(slots[1]) * part) / kStep;
    return codable((probability + refined) / 2);
  }
  void learn(bool bit) { delta::learn(*nearer_, bit, kLimit); }

 private:
  static constexpr std::size_t kSteps = 33;
  static constexpr std::uint32_t kStep = 128;
  static constexpr Slot kFirstCount = 6;
  static constexpr std::uint32_t kLimit = 60;

  std::vector<Slot> slots_;
  Slot* nearer_ = nullptr;
};

// One byte, its bits from the highest down, in several contexts and with a guess. Several models
// may share a table, which must outlive them, if their contexts have numbers of their own.
template <std::size_t kContexts>
class ByteModel {
  static_assert(kContexts < Mixer::kLogitsMax);

 public:
  ByteModel(NibbleTable& lines, std::size_t first_context, std::size_t sets)
      : lines_(lines),
        first_context_(first_context),
        mixer_(kNodes, sets * kStrengthSets),
        refinement_(sets * kNodes) {
    guess_slots_.fill(kFreshSlot);
  }

  template <class Bits>
  std::uint8_t code(Bits& bits, const std::array<std::uint64_t, kContexts>& contexts, Guess guess,
                    std::size_t set, std::uint8_t byte) {
    const std::uint32_t high = code_half(bits, contexts, guess, {0, 0, set}, byte >> 4);
    const std::uint32_t low =
        code_half(bits, contexts, guess, {1 + high, 16 + high * 15, set}, byte & 15);
    return static_cast<std::uint8_t>(high << 4 | low);
  }

 private:
  static constexpr std::uint32_t kLimit = 127;
  static constexpr std::size_t kNodes = 256;  // of the binary tree of a byte
  static constexpr std::size_t kStrengthSets = 16;

  struct Half {
    std::uint32_t which;  // 0: the upper; else the lower one, after this upper one and 1
    std::size_t tree;     // number of its first node
    std::size_t set;
  };

  template <class Bits>
  std::uint32_t code_half(Bits& bits, const std::array<std::uint64_t, kContexts>& contexts,
                          Guess guess, const Half& where, std::uint32_t half) {
    std::array<std::uint32_t, kContexts> hashes;
    for (std::size_t i = 0; i < kContexts; ++i) {
      hashes[i] = hash_context(static_cast<std::uint32_t>((first_context_ + i) * 32) + where.which,
                               contexts[i]);
      lines_.expect(hashes[i]);
    }
    std::array<ShortSlot*, kContexts> lines;
    for (std::size_t i = 0; i < kContexts; ++i) lines[i] = lines_.find(hashes[i]);
    if (where.which != 0 && guess.byte >> 4 != where.which - 1) guess.strength = 0;
    const std::uint32_t guessed = 16 | (where.which == 0 ? guess.byte >> 4 : guess.byte & 15);
    std::uint32_t node = 1;
    for (int shift = 3; shift >= 0; --shift) {
      const std::size_t strength = guessed >> (shift + 1) == node ? guess.strength : 0;
      Slot& guess_slot = guess_slots_[strength * 2 + (guessed >> shift & 1)];
      const auto logit = [&](std::size_t i) {
        if (i < kContexts) return stretch_short(lines[i][node]);
        return i == kContexts ? stretch(probability_of(guess_slot)) : 0;
      };
      const std::size_t at = where.tree + node - 1;
      const std::uint32_t mixed =
          mixer_.mix(logit, at, where.set * kStrengthSets + (strength + 3) / 4);
      const bool bit = bits(refinement_.refine(where.set * kNodes + at, mixer_.logit(), mixed),
                            (half >> shift & 1) != 0);
      refinement_.learn(bit);
      mixer_.learn_two(bit);
      const ShortLesson lesson(bit);
      for (std::size_t i = 0; i < kContexts; ++i) learn_short(lines[i][node], lesson);
      learn(guess_slot, bit, kLimit);
      node = node << 1 | (bit ? 1 : 0);
    }
    return node & 15;
  }

  NibbleTable& lines_;
  std::size_t first_context_;
  std::array<Slot, Guess::kStrengths * 2> guess_slots_;
  Mixer mixer_;
  Refinement refinement_;
};

// Whole numbers, small ones shorter: how many bits, then the bits from the highest down, the first
// three of which are learnt.
class NumberModel {
 public:
  static constexpr std::size_t kKinds = 8;  // contexts that the caller chooses

  NumberModel() { slots_.fill(kFreshSlot); }

  template <class Bits>
  std::uint64_t code(Bits& bits, std::size_t kind, std::uint64_t number) {
    LAYBY_ASSERT(number >> 63 == 0);
    const std::uint32_t width = code_width(bits, kind, static_cast<int>(std::bit_width(number)));
    if (width <= 1) return width;
    std::uint64_t made = 1;
    for (std::uint32_t left = width - 1; left-- > 0;) {
      const bool wanted = (number >> left & 1) != 0;
      const bool bit = made < 8 ? code_bit(bits, slot(kind, 64 + width * 8 + made), wanted, kLimit)
                                : bits(std::uint32_t{1} << (kProbabilityBits - 1), wanted);
      made = made << 1 | (bit ? 1 : 0);
    }
    return made;
  }

 private:
  static constexpr std::uint32_t kLimit = 120;
  static constexpr int kProbabilityBits = 16;
  static constexpr std::size_t kSlots = 64 + 65 * 8;

  Slot& slot(std::size_t kind, std::size_t at) { return slots_[kind * kSlots + at]; }

  // 0 to 63: larger numbers are not needed.
  template <class Bits>
  std::uint32_t code_width(Bits& bits, std::size_t kind, int width) {
    std::uint32_t node = 1;
    for (int shift = 5; shift >= 0; --shift)
      node =
          node << 1 | (code_bit(bits, slot(kind, node), (width >> shift & 1) != 0, kLimit) ? 1 : 0);
    return node & 63;
  }

  std::array<Slot, kKinds * kSlots> slots_;
};

}  // namespace layby::delta
