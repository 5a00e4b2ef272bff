#include "delta/common_prefix.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace layby::delta {

std::size_t common_prefix(ByteSpan a, ByteSpan b) {
  const std::size_t size = std::min(a.size(), b.size());
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    std::uint64_t x;
    std::uint64_t y;
    std::memcpy(&x, a.data() + i, 8);
    std::memcpy(&y, b.data() + i, 8);
    if (x == y) continue;
    if constexpr (std::endian::native == std::endian::little)
      return i + static_cast<std::size_t>(std::countr_zero(x ^ y)) / 8;
    break;
  }
  while (i < size && a[i] == b[i]) ++i;
  return i;
}

}  // namespace layby::delta
