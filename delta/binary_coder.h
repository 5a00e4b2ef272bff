// Arithmetic coding of single bits whose probabilities are given: the narrow end of
// CoderId::kMixed.
//
// Both classes are called the same way, `bits(probability, bit)`, so that one function serves to
// write and to read; the reader ignores `bit` and returns what was written.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace layby::delta {

constexpr int kProbabilityBits = 16;

class BitWriter {
 public:
  static constexpr bool kReads = false;

  // `probability` of a 1, in 1/65536: 1 to 65535.
  bool operator()(std::uint32_t probability, bool bit) {
    const std::uint32_t middle = split(low_, high_, probability);
    (bit ? high_ : low_) = bit ? middle : middle + 1;
    while (((low_ ^ high_) >> 24) == 0) {
      out_.push_back(static_cast<std::uint8_t>(high_ >> 24));
      low_ <<= 8;
      high_ = high_ << 8 | 0xff;
    }
    return bit;
  }

  static std::uint32_t split(std::uint32_t low, std::uint32_t high, std::uint32_t probability) {
    return low + static_cast<std::uint32_t>((std::uint64_t{high - low} * probability) >>
                                            kProbabilityBits);
  }

  // Call once, after the last bit.
  Bytes finish() && {
    // The reader sees zeros behind the end, so the fewest bytes that reach into the range will do.
    if (low_ != 0) {
      const std::uint32_t rounded = (low_ >> 24) + 1;
      if (rounded <= 0xff && (rounded << 24) <= high_) {
        out_.push_back(static_cast<std::uint8_t>(rounded));
      } else {
        for (int shift = 24; shift >= 0; shift -= 8)
          out_.push_back(static_cast<std::uint8_t>(high_ >> shift));
      }
    }
    return std::move(out_);
  }

 private:
  std::uint32_t low_ = 0;
  std::uint32_t high_ = 0xffff'ffff;
  Bytes out_;
};

class BitReader {
 public:
  static constexpr bool kReads = true;

  explicit BitReader(ByteSpan bytes) : bytes_(bytes) {
    for (int i = 0; i < 4; ++i) code_ = code_ << 8 | next();
  }

  bool operator()(std::uint32_t probability, bool) {
    const std::uint32_t middle = BitWriter::split(low_, high_, probability);
    const bool bit = code_ <= middle;
    (bit ? high_ : low_) = bit ? middle : middle + 1;
    while (((low_ ^ high_) >> 24) == 0) {
      low_ <<= 8;
      high_ = high_ << 8 | 0xff;
      code_ = code_ << 8 | next();
    }
    return bit;
  }

  // Whether more was read than there is, beyond the zeros that the writer leaves out.
  bool is_beyond_end() const { return at_ > bytes_.size() + 4; }
  // Whether all that there is was read.
  bool has_read_all() const { return at_ >= bytes_.size(); }

 private:
  std::uint8_t next() {
    const std::size_t at = at_++;
    return at < bytes_.size() ? bytes_[at] : 0;
  }

  ByteSpan bytes_;
  std::size_t at_ = 0;
  std::uint32_t low_ = 0;
  std::uint32_t high_ = 0xffff'ffff;
  std::uint32_t code_ = 0;
};

}  // namespace layby::delta
