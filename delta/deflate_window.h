// Where the family's window lies in the text. Of that, its search sees the beginning alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "delta/deflate_rules.h"

namespace layby::delta {

// The family reads into a buffer of two windows and moves the upper half down when it comes near
// the end. Here nothing is moved; it is as if all text were given at once.
class DeflateWindow {
 public:
  DeflateWindow(const DeflateRules& rules, std::uint32_t text_bytes)
      : size_(rules.window_bytes),
        distance_max_(rules.distance_max),
        text_bytes_(text_bytes),
        knows_end_(rules.is_gzip() ? KnowsEnd::kOnceRead : KnowsEnd::kNever) {
    filled_ = std::min(text_bytes_, 2 * size_);
    ended_ = filled_ == 0;
  }

  // Before the search goes on at `at`.
  void refill(std::uint32_t at) {
    while (filled_ - at < kLookaheadMin && !(knows_end_ == KnowsEnd::kOnceRead && ended_)) {
      if (at - begin_ >= size_ + distance_max_) begin_ += size_;
      const std::uint32_t more = std::min(text_bytes_, begin_ + 2 * size_) - filled_;
      filled_ += more;
      if (more > 0) continue;
      ended_ = true;
      break;
    }
  }

  // The text position at the buffer's beginning; it and all before it cannot be matched.
  std::uint32_t begin() const { return begin_; }

  // gzip no longer slides when it has seen the text's end, and does not search where the buffer
  // ends.
  bool may_search(std::uint32_t at) const {
    return knows_end_ == KnowsEnd::kNever || at - begin_ <= 2 * size_ - kLookaheadMin;
  }

 private:
  enum class KnowsEnd : std::uint8_t { kOnceRead, kNever };

  std::uint32_t size_;
  std::uint32_t distance_max_;
  std::uint32_t text_bytes_;
  std::uint32_t begin_ = 0;
  std::uint32_t filled_ = 0;
  KnowsEnd knows_end_;
  bool ended_ = false;
};

}  // namespace layby::delta
