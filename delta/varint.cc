#include "delta/varint.h"

namespace layby::delta {

void append_varint(Bytes& to, std::uint64_t value) {
  while (value >= 0x80) {
    to.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  to.push_back(static_cast<std::uint8_t>(value));
}

Result<std::uint64_t> VarintReader::next() {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    const std::uint64_t bits = bytes_[i] & 0x7f;
    const unsigned shift = static_cast<unsigned>(7 * i);
    if (i == 10 || (i == 9 && bits > 1))
      return fail(ErrorCode::kBadPayload, "a number in the chunk has more than 64 bits");
    value |= bits << shift;
    if ((bytes_[i] & 0x80) != 0) continue;
    if (i > 0 && bits == 0)
      return fail(ErrorCode::kBadPayload, "a number in the chunk is spelt too long");
    bytes_ = bytes_.subspan(i + 1);
    return value;
  }
  return fail(ErrorCode::kBadPayload, "a column of the chunk ends too early");
}

}  // namespace layby::delta
