// Paths walked the other way. Maps write a line as steps from point to point: pairs of numbers
// (east, north), each zigzag and then a varint. Where two areas share a border one has its steps
// backwards and with the other sign: nothing that bytes could show.
#pragma once

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/error.h"
#include "base/result.h"

namespace layby::delta {

// A number as zigzag, with the other sign: 1, 2 are -1, 1.
inline std::uint64_t turned_round(std::uint64_t zigzag) {
  if (zigzag == 0) return 0;
  return zigzag % 2 == 1 ? zigzag + 1 : zigzag - 1;
}

// The steps that lie before a place of a source, from there backwards, each turned round.
template <typename Read>
class Mirror {
 public:
  // `read(offset, span)` gives bytes of the source, of which those before `end` count.
  Mirror(std::uint64_t end, Read read) : read_(read), begin_(end) {}

  // Fills `out` and returns how many bytes it made: fewer where there are no further steps. The
  // next call goes on from there, within a step too.
  Result<std::size_t> fill(MutableByteSpan out) {
    std::size_t made = 0;
    while (made < out.size()) {
      if (taken_ == step_.size()) {
        const bool has_step = TRY(next_step());
        if (!has_step) break;
      }
      const std::size_t bytes = std::min(out.size() - made, step_.size() - taken_);
      std::copy_n(step_.begin() + static_cast<std::ptrdiff_t>(taken_), bytes, &out[made]);
      taken_ += bytes;
      made += bytes;
    }
    return made;
  }

  // Where the first step that was used begins.
  std::uint64_t begin() const { return begin_ + at_; }

 private:
  static constexpr std::size_t kFirstWindowBytes = 64;  // most are short; then twice as many
  static constexpr std::size_t kWindowBytes = 1024;
  static constexpr std::size_t kNumberBytesMax = 10;

  Result<bool> next_step() {
    if (at_ < 2 * kNumberBytesMax && begin_ > 0) TRY_VOID(load());
    std::size_t at = at_;
    std::uint64_t north = 0;
    std::uint64_t east = 0;
    if (!step_back(at, north) || !step_back(at, east)) return false;
    at_ = at;
    step_.clear();
    taken_ = 0;
    put(turned_round(east));
    put(turned_round(north));
    return true;
  }

  // The window ends at what was used last.
  Result<void> load() {
    const std::uint64_t end = begin_ + at_;
    at_ = static_cast<std::size_t>(std::min<std::uint64_t>(end, next_window_));
    next_window_ = std::min(2 * next_window_, kWindowBytes);
    begin_ = end - at_;
    return read_(begin_, MutableByteSpan(window_).first(at_));
  }

  // The number that ends at `at`, which moves to its beginning.
  bool step_back(std::size_t& at, std::uint64_t& number) const {
    if (at == 0 || window_[at - 1] >= 0x80) return false;
    number = window_[--at];
    for (std::size_t bytes = 1; at > 0 && window_[at - 1] >= 0x80; ++bytes) {
      if (bytes == kNumberBytesMax) return false;
      number = number << 7 | (window_[--at] & 0x7f);
    }
    return true;
  }

  void put(std::uint64_t number) {
    for (; number >= 0x80; number >>= 7)
      step_.push_back(static_cast<std::uint8_t>(0x80 | (number & 0x7f)));
    step_.push_back(static_cast<std::uint8_t>(number));
  }

  Read read_;
  std::uint64_t begin_;  // of the window, in the source
  std::size_t next_window_ = kFirstWindowBytes;
  std::size_t at_ = 0;  // in the window; what is before is still to be used
  std::array<std::uint8_t, kWindowBytes> window_;
  Bytes step_;  // the one that is being given out
  std::size_t taken_ = 0;
};

}  // namespace layby::delta
