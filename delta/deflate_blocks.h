// Gathers what the search chose, and writes it as the family's blocks.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "delta/deflate_codes.h"
#include "delta/deflate_rules.h"

namespace layby::delta {

// Bits into a buffer of fixed size, the lowest first. The caller has made sure that they fit.
class BitSink {
 public:
  BitSink() = default;
  explicit BitSink(MutableByteSpan out) : out_(out) {}

  void put(std::uint64_t bits, unsigned count) {  // at most 32
    held_ |= bits << held_count_;
    held_count_ += count;
    while (held_count_ >= 32) put_bytes(4);
  }
  void fill_byte() {
    held_count_ = (held_count_ + 7) / 8 * 8;
    while (held_count_ > 0) put_bytes(1);
  }
  void put_text(ByteSpan text);  // after fill_byte

  std::uint64_t bits() const { return std::uint64_t{size_} * 8 + held_count_; }
  std::uint64_t bits_max() const { return std::uint64_t{out_.size()} * 8; }
  ByteSpan written() const { return out_.first(size_); }

 private:
  void put_bytes(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      out_[size_++] = static_cast<std::uint8_t>(held_);
      held_ >>= 8;
    }
    held_count_ -= 8 * count;
  }

  MutableByteSpan out_;
  std::size_t size_ = 0;
  std::uint64_t held_ = 0;
  unsigned held_count_ = 0;
};

enum class BlockState : std::uint8_t { kOpen, kFull };
enum class LastBlock : std::uint8_t { kNo, kYes };
enum class Written : std::uint8_t { kAll, kDoesNotFit };

class BlockWriter {
 public:
  BlockWriter();

  void begin(MutableByteSpan out, const DeflateRules& rules);

  // `text_bytes`: how far the search has come since the block's beginning, as the family counts.
  BlockState add_literal(std::uint8_t literal, std::uint32_t text_bytes);
  BlockState add_match(std::uint32_t length, std::uint32_t distance, std::uint32_t text_bytes);

  // Writes the block and begins the next. `text` is what it stands for; where the window has
  // lost some of it, the family cannot store it as it is.
  enum class Window : std::uint8_t { kHasText, kLostText };
  Written end_block(ByteSpan text, Window window, LastBlock last);

  const BitSink& sink() const { return sink_; }

 private:
  struct Lengths;

  BlockState state_after(std::uint32_t text_bytes) const;
  std::uint64_t cost(const PrefixCode& literals, const PrefixCode& distances) const;
  void write_symbols(const PrefixCode& literals, const PrefixCode& distances);
  void write_lengths(const Lengths& lengths);
  void write_stored(ByteSpan text, std::uint64_t last);
  void forget();

  DeflateRules rules_{};
  BitSink sink_;
  std::size_t size_ = 0;
  std::size_t matches_ = 0;
  std::vector<std::uint16_t> distances_;  // 0: a literal
  std::vector<std::uint8_t> lengths_;     // less kMatchMin; or the literal
  std::array<std::uint32_t, kLiteralCodes> literal_counts_{};
  std::array<std::uint32_t, kDistanceCodes> distance_counts_{};
};

}  // namespace layby::delta
