// Little-endian base-128 numbers as in the payload's columns: seven bits a byte, the lowest first,
// the top bit set on all but the last.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace layby::delta {

void append_varint(Bytes& to, std::uint64_t value);

// Signed numbers with small absolute values become small unsigned ones: 0, -1, 1, -2, 2, ...
constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

// Reads numbers from the front of `bytes`. kBadPayload where they end, at more than 64 bits, and
// for a spelling longer than necessary.
class VarintReader {
 public:
  explicit VarintReader(ByteSpan bytes) : bytes_(bytes) {}
  Result<std::uint64_t> next();
  bool at_end() const { return bytes_.empty(); }
  ByteSpan rest() const { return bytes_; }

 private:
  ByteSpan bytes_;
};

}  // namespace layby::delta
