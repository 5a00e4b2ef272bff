#pragma once

#include "base/bytes.h"

namespace layby::delta {

// Length of the common beginning of `a` and `b`, eight bytes at a time.
std::size_t common_prefix(ByteSpan a, ByteSpan b);

}  // namespace layby::delta
