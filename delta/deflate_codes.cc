#include "delta/deflate_codes.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace layby::delta {
namespace {

constexpr std::size_t kNodesMax = 2 * kLiteralCodes;

// Builds one tree. Nodes below `symbols_` are symbols, those above join two others.
class CodeTree {
 public:
  CodeTree(std::span<const std::uint32_t> counts, unsigned bits_max)
      : symbols_(counts.size()), bits_max_(bits_max) {
    LAYBY_ASSERT(symbols_ <= kLiteralCodes);
    std::copy(counts.begin(), counts.end(), count_.begin());
  }

  PrefixCode build() {
    gather();
    join();
    measure();
    if (too_long_ > 0) shorten();
    return number();
  }

 private:
  // A format of old wants two codes at least; the first symbols that are free take part.
  void gather() {
    for (std::uint32_t symbol = 0; symbol < symbols_; ++symbol) {
      if (count_[symbol] == 0) continue;
      heap_[++heap_size_] = static_cast<std::uint16_t>(symbol);
      used_ = symbol + 1;
    }
    while (heap_size_ < 2) {
      const std::uint32_t symbol = used_ < 3 ? used_ : 0;
      used_ = std::max(used_, symbol + 1);
      count_[symbol] = 1;
      heap_[++heap_size_] = static_cast<std::uint16_t>(symbol);
    }
    for (std::size_t i = heap_size_ / 2; i >= 1; --i) sift(i);
  }

  // Equal counts: the shallower tree first, and of equals the one that stands there already. That
  // order decides which symbols get the longer codes.
  bool precedes(std::uint16_t a, std::uint16_t b) const {
    return count_[a] != count_[b] ? count_[a] < count_[b] : depth_[a] <= depth_[b];
  }

  void sift(std::size_t at) {
    const std::uint16_t node = heap_[at];
    for (std::size_t child = 2 * at; child <= heap_size_; child = 2 * at) {
      if (child < heap_size_ && precedes(heap_[child + 1], heap_[child])) ++child;
      if (precedes(node, heap_[child])) break;
      heap_[at] = heap_[child];
      at = child;
    }
    heap_[at] = node;
  }

  // Joins the two rarest until one is left; `order_` holds nodes as they were taken, the rarest
  // first.
  void join() {
    auto next = static_cast<std::uint16_t>(symbols_);
    while (heap_size_ >= 2) {
      const std::uint16_t rarest = heap_[1];
      heap_[1] = heap_[heap_size_--];
      sift(1);
      const std::uint16_t second = heap_[1];
      order_[ordered_++] = rarest;
      order_[ordered_++] = second;
      count_[next] = count_[rarest] + count_[second];
      depth_[next] = static_cast<std::uint8_t>(std::max(depth_[rarest], depth_[second]) + 1);
      parent_[rarest] = parent_[second] = next;
      heap_[1] = next++;
      sift(1);
    }
    order_[ordered_++] = heap_[1];
  }

  // From the root down. What is too deep stays at the limit for now and is counted.
  void measure() {
    bits_[order_[ordered_ - 1]] = 0;
    for (std::size_t i = ordered_ - 1; i-- > 0;) {
      const std::uint16_t node = order_[i];
      unsigned bits = bits_[parent_[node]] + 1U;
      if (bits > bits_max_) {
        bits = bits_max_;
        ++too_long_;
      }
      bits_[node] = static_cast<std::uint8_t>(bits);
      if (node < symbols_) ++of_length_[bits];
    }
  }

  // Moves leaves down until there is room for those that are too long, then gives the lengths out
  // again, the longest to the rarest.
  void shorten() {
    for (; too_long_ > 0; too_long_ -= 2) {
      unsigned bits = bits_max_ - 1;
      while (of_length_[bits] == 0) --bits;
      --of_length_[bits];
      of_length_[bits + 1] += 2;
      --of_length_[bits_max_];
    }
    std::size_t next = 0;
    for (unsigned bits = bits_max_; bits > 0; --bits) {
      for (std::uint32_t left = of_length_[bits]; left > 0;) {
        const std::uint16_t node = order_[next++];
        if (node >= symbols_) continue;
        bits_[node] = static_cast<std::uint8_t>(bits);
        --left;
      }
    }
  }

  PrefixCode number() const {
    PrefixCode code;
    code.symbols = used_;
    for (std::uint32_t i = 0; i < used_; ++i) code.bits[i] = count_[i] == 0 ? 0 : bits_[i];
    return code;
  }

  std::size_t symbols_;
  unsigned bits_max_;
  std::uint32_t used_ = 0;
  std::size_t heap_size_ = 0;  // heap_[1] is the rarest
  std::size_t ordered_ = 0;
  int too_long_ = 0;
  std::array<std::uint32_t, kNodesMax> count_{};
  std::array<std::uint8_t, kNodesMax> depth_{};
  std::array<std::uint8_t, kNodesMax> bits_{};
  std::array<std::uint16_t, kNodesMax> parent_{};
  std::array<std::uint16_t, kNodesMax> heap_{};
  std::array<std::uint16_t, kNodesMax> order_{};
  std::array<std::uint32_t, kCodeBitsMax + 1> of_length_{};
};

std::uint16_t reversed(std::uint32_t code, unsigned bits) {
  std::uint32_t out = 0;
  for (unsigned i = 0; i < bits; ++i) out |= (code >> i & 1) << (bits - 1 - i);
  return static_cast<std::uint16_t>(out);
}

// RFC 1951, 3.2.2: codes follow from their lengths.
void assign_codes(PrefixCode& code) {
  std::array<std::uint32_t, kCodeBitsMax + 1> of_length{};
  for (std::uint32_t i = 0; i < code.symbols; ++i) ++of_length[code.bits[i]];
  of_length[0] = 0;
  std::array<std::uint32_t, kCodeBitsMax + 1> next{};
  for (std::size_t bits = 1; bits < next.size(); ++bits)
    next[bits] = 2 * (next[bits - 1] + of_length[bits - 1]);
  for (std::uint32_t i = 0; i < code.symbols; ++i)
    if (const unsigned bits = code.bits[i]; bits != 0) code.code[i] = reversed(next[bits]++, bits);
}

PrefixCode make_fixed_literal_code() {
  PrefixCode code;
  code.symbols = 288;
  for (std::uint32_t i = 0; i < 288; ++i) {
    if (i < 144 || i >= 280)
      code.bits[i] = 8;
    else
      code.bits[i] = i < 256 ? 9 : 7;
  }
  assign_codes(code);
  return code;
}

PrefixCode make_fixed_distance_code() {
  PrefixCode code;
  code.symbols = kDistanceCodes;
  std::fill_n(code.bits.begin(), kDistanceCodes, std::uint8_t{5});
  assign_codes(code);
  return code;
}

}  // namespace

PrefixCode build_code(std::span<const std::uint32_t> counts, unsigned bits_max) {
  PrefixCode code = CodeTree(counts, bits_max).build();
  assign_codes(code);
  return code;
}

const PrefixCode& fixed_literal_code() {
  static const PrefixCode code = make_fixed_literal_code();
  return code;
}

const PrefixCode& fixed_distance_code() {
  static const PrefixCode code = make_fixed_distance_code();
  return code;
}

std::uint32_t length_code(std::uint32_t length) {
  static constexpr auto codes = [] {
    std::array<std::uint8_t, 259> table{};
    for (std::uint8_t code = 0; code < kLengthExtra.size(); ++code)
      for (std::uint32_t i = kLengthExtra[code].first; i < table.size(); ++i) table[i] = code;
    return table;
  }();
  return codes[length];
}

std::uint32_t distance_code(std::uint32_t distance) {
  const std::uint32_t from_zero = distance - 1;
  if (from_zero < 4) return from_zero;
  const auto bits = static_cast<std::uint32_t>(std::bit_width(from_zero));  // 3 to 15
  return 2 * (bits - 1) + (from_zero >> (bits - 2) & 1);
}

}  // namespace layby::delta
