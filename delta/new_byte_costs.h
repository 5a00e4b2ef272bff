// What a byte that no copy covers will cost, guessed from what kind of bytes it stands among.
// Encoder only.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace layby::delta {

class NewByteCosts {
 public:
  static constexpr std::size_t kBlockBytes = 4096;

  explicit NewByteCosts(ByteSpan bytes);

  // Of the byte at `at`, in sixteenths of a bit.
  std::uint32_t at(std::size_t at) const { return costs_[at / kBlockBytes]; }

 private:
  std::vector<std::uint8_t> costs_;  // by block
};

}  // namespace layby::delta
