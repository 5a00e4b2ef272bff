// The first block of a deflate stream, read only to see which recipes cannot have made it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace layby::delta {

struct DeflateToken {
  std::uint16_t length = 1;    // 1: a literal
  std::uint16_t distance = 0;  // or the literal

  bool operator==(const DeflateToken&) const = default;
};

struct DeflateOpening {
  enum class Kind : std::uint8_t { kStored, kFixed, kDynamic, kNone };
  enum class End : std::uint8_t { kNotSeen, kOfBlock, kOfStream };

  Kind kind = Kind::kNone;  // none: no deflate stream begins so
  End end = End::kNotSeen;
  std::vector<DeflateToken> tokens;  // none of a stored block
  std::uint32_t stored_bytes = 0;
};

// Reads at most as many tokens as a block of the family can have. Never more than `stream`.
DeflateOpening read_opening(ByteSpan stream);

}  // namespace layby::delta
