#include "delta/deflate_blocks.h"

#include <algorithm>

#include "base/assert.h"

namespace layby::delta {
namespace {

constexpr std::size_t kBlockSymbolsMax = 0x7fff;
constexpr std::size_t kStoredBytesMax = 0xffff;
constexpr std::uint32_t kEarlyEndMask = 0xfff;
constexpr unsigned kLengthBitsMax = 7;

enum BlockKind : std::uint64_t { kStored = 0, kFixed = 1, kDynamic = 2 };

// 16: the length before again, 17 and 18: zeros.
constexpr std::uint8_t kRepeat = 16;
constexpr std::uint8_t kZeros = 17;
constexpr std::uint8_t kManyZeros = 18;

}  // namespace

// The lengths of two codes as runs, and the code for them.
struct BlockWriter::Lengths {
  struct Run {
    std::uint8_t symbol;
    std::uint8_t extra;  // what follows, of as many bits as the symbol has
  };

  Lengths(const PrefixCode& literals, const PrefixCode& distances)
      : literal_symbols(literals.symbols), distance_symbols(distances.symbols) {
    add(literals);
    add(distances);
    code = build_code(counts, kLengthBitsMax);
    order = kLengthOfLengthCodes;
    while (order > 4 && code.bits[kLengthOrder[order - 1]] == 0) --order;
  }

  static unsigned extra_bits(std::uint8_t symbol) {
    if (symbol < kRepeat) return 0;
    return symbol == kRepeat ? 2 : symbol == kZeros ? 3 : 7;
  }

  std::uint64_t cost() const {
    std::uint64_t bits = 5 + 5 + 4 + 3 * order;
    for (std::uint8_t i = 0; i < kLengthOfLengthCodes; ++i)
      bits += std::uint64_t{counts[i]} * (code.bits[i] + extra_bits(i));
    return bits;
  }

  std::uint32_t literal_symbols;
  std::uint32_t distance_symbols;
  std::size_t order;
  PrefixCode code;
  std::array<Run, kLiteralCodes + kDistanceCodes> runs;
  std::size_t run_count = 0;
  std::array<std::uint32_t, kLengthOfLengthCodes> counts{};

 private:
  void add(const PrefixCode& of) {
    for (std::size_t i = 0; i < of.symbols;) {
      std::size_t end = i + 1;
      while (end < of.symbols && of.bits[end] == of.bits[i]) ++end;
      if (of.bits[i] == 0)
        add_zeros(end - i);
      else
        add_equal(of.bits[i], end - i);
      i = end;
    }
  }

  void add_run(std::uint8_t symbol, std::size_t extra) {
    ++counts[symbol];
    runs[run_count++] = {symbol, static_cast<std::uint8_t>(extra)};
  }

  void add_zeros(std::size_t left) {
    while (left > 0) {
      const std::size_t taken = std::min<std::size_t>(left, 138);
      if (taken > 10)
        add_run(kManyZeros, taken - 11);
      else if (taken > 2)
        add_run(kZeros, taken - 3);
      else
        add_singly(0, taken);
      left -= taken;
    }
  }

  // The first of a run is written as it is; up to six repetitions follow, in threes at least.
  void add_equal(std::uint8_t length, std::size_t left) {
    add_run(length, 0);
    for (--left; left > 0;) {
      const std::size_t taken = std::min<std::size_t>(left, 6);
      if (taken > 2)
        add_run(kRepeat, taken - 3);
      else
        add_singly(length, taken);
      left -= taken;
    }
  }

  void add_singly(std::uint8_t length, std::size_t times) {
    for (; times > 0; --times) add_run(length, 0);
  }
};

void BitSink::put_text(ByteSpan text) {
  std::copy(text.begin(), text.end(), out_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += text.size();
}

BlockWriter::BlockWriter() : distances_(kBlockSymbolsMax), lengths_(kBlockSymbolsMax) {}

void BlockWriter::begin(MutableByteSpan out, const DeflateRules& rules) {
  rules_ = rules;
  sink_ = BitSink(out);
  forget();
}

void BlockWriter::forget() {
  size_ = 0;
  matches_ = 0;
  literal_counts_.fill(0);
  distance_counts_.fill(0);
}

BlockState BlockWriter::add_literal(std::uint8_t literal, std::uint32_t text_bytes) {
  LAYBY_ASSERT(size_ < kBlockSymbolsMax);
  distances_[size_] = 0;
  lengths_[size_++] = literal;
  ++literal_counts_[literal];
  return state_after(text_bytes);
}

BlockState BlockWriter::add_match(std::uint32_t length, std::uint32_t distance,
                                  std::uint32_t text_bytes) {
  LAYBY_ASSERT(size_ < kBlockSymbolsMax);
  distances_[size_] = static_cast<std::uint16_t>(distance);
  lengths_[size_++] = static_cast<std::uint8_t>(length - kMatchMin);
  ++literal_counts_[kEndOfBlock + 1 + length_code(length)];
  ++distance_counts_[distance_code(distance)];
  ++matches_;
  return state_after(text_bytes);
}

BlockState BlockWriter::state_after(std::uint32_t text_bytes) const {
  if (rules_.ends_blocks_early && (size_ & kEarlyEndMask) == 0) {
    std::uint64_t bits = std::uint64_t{size_} * 8;
    for (std::size_t i = 0; i < kDistanceCodes; ++i)
      bits += std::uint64_t{distance_counts_[i]} * (5U + kDistanceExtra[i].bits);
    if (matches_ < size_ / 2 && bits / 8 < text_bytes / 2) return BlockState::kFull;
  }
  return size_ == rules_.block_symbols_max ? BlockState::kFull : BlockState::kOpen;
}

// Bits of the symbols, without the header.
std::uint64_t BlockWriter::cost(const PrefixCode& literals, const PrefixCode& distances) const {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i <= kEndOfBlock; ++i)
    bits += std::uint64_t{literal_counts_[i]} * literals.bits[i];
  for (std::size_t i = kEndOfBlock + 1; i < kLiteralCodes; ++i)
    bits += std::uint64_t{literal_counts_[i]} *
            (literals.bits[i] + kLengthExtra[i - kEndOfBlock - 1].bits);
  for (std::size_t i = 0; i < kDistanceCodes; ++i)
    bits += std::uint64_t{distance_counts_[i]} * (distances.bits[i] + kDistanceExtra[i].bits);
  return bits;
}

Written BlockWriter::end_block(ByteSpan text, Window window, LastBlock last) {
  literal_counts_[kEndOfBlock] = 1;
  const PrefixCode literals = build_code(literal_counts_, kCodeBitsMax);
  const PrefixCode distances = build_code(distance_counts_, kCodeBitsMax);
  const Lengths lengths(literals, distances);
  const std::uint64_t fixed_bits = 3 + cost(fixed_literal_code(), fixed_distance_code());
  const std::uint64_t dynamic_bits = 3 + lengths.cost() + cost(literals, distances);
  // Compared in whole bytes, and the simpler kind where two are equal.
  const std::uint64_t fixed_bytes = (fixed_bits + 7) / 8;
  const bool is_fixed = rules_.fixed_codes_only || fixed_bytes <= (dynamic_bits + 7) / 8;
  const std::uint64_t coded_bytes = is_fixed ? fixed_bytes : (dynamic_bits + 7) / 8;
  const bool is_stored = window == Window::kHasText && text.size() + 4 <= coded_bytes;

  const std::uint64_t room = sink_.bits_max() - sink_.bits();
  const std::uint64_t is_last = last == LastBlock::kYes ? 1 : 0;
  if (is_stored) {
    const std::uint64_t header_bits = (sink_.bits() + 3 + 7) / 8 * 8 + 32 - sink_.bits();
    if (text.size() > kStoredBytesMax || header_bits + 8 * text.size() > room)
      return Written::kDoesNotFit;
    write_stored(text, is_last);
  } else {
    if ((is_fixed ? fixed_bits : dynamic_bits) > room) return Written::kDoesNotFit;
    sink_.put(is_last + 2 * (is_fixed ? kFixed : kDynamic), 3);
    if (!is_fixed) write_lengths(lengths);
    if (is_fixed)
      write_symbols(fixed_literal_code(), fixed_distance_code());
    else
      write_symbols(literals, distances);
  }
  if (last == LastBlock::kYes) sink_.fill_byte();
  forget();
  return Written::kAll;
}

void BlockWriter::write_stored(ByteSpan text, std::uint64_t last) {
  sink_.put(last + 2 * kStored, 3);
  sink_.fill_byte();
  sink_.put(text.size(), 16);
  sink_.put(~text.size() & 0xffff, 16);
  sink_.fill_byte();
  sink_.put_text(text);
}

void BlockWriter::write_lengths(const Lengths& lengths) {
  sink_.put(lengths.literal_symbols - 257, 5);
  sink_.put(lengths.distance_symbols - 1, 5);
  sink_.put(lengths.order - 4, 4);
  for (std::size_t i = 0; i < lengths.order; ++i) sink_.put(lengths.code.bits[kLengthOrder[i]], 3);
  for (std::size_t i = 0; i < lengths.run_count; ++i) {
    const Lengths::Run& run = lengths.runs[i];
    sink_.put(lengths.code.code[run.symbol], lengths.code.bits[run.symbol]);
    sink_.put(run.extra, Lengths::extra_bits(run.symbol));
  }
}

void BlockWriter::write_symbols(const PrefixCode& literals, const PrefixCode& distances) {
  for (std::size_t i = 0; i < size_; ++i) {
    if (distances_[i] == 0) {
      sink_.put(literals.code[lengths_[i]], literals.bits[lengths_[i]]);
      continue;
    }
    const std::uint32_t length = lengths_[i] + kMatchMin;
    const std::uint32_t of_length = length_code(length);
    const std::uint32_t symbol = kEndOfBlock + 1 + of_length;
    const ExtraBits& extra = kLengthExtra[of_length];
    const unsigned bits = literals.bits[symbol];
    sink_.put(literals.code[symbol] | std::uint64_t{length - extra.first} << bits,
              bits + extra.bits);
    const std::uint32_t of_distance = distance_code(distances_[i]);
    const ExtraBits& far = kDistanceExtra[of_distance];
    const unsigned distance_bits = distances.bits[of_distance];
    const std::uint64_t rest = distances_[i] - std::uint64_t{far.first};
    sink_.put(distances.code[of_distance] | rest << distance_bits, distance_bits + far.bits);
  }
  sink_.put(literals.code[kEndOfBlock], literals.bits[kEndOfBlock]);
}

}  // namespace layby::delta
