// Bytes as something that is read at random. Reading past the end is a defect of what reads.
#pragma once

#include <algorithm>

#include "base/assert.h"
#include "base/disk.h"

namespace layby::tests {

class MemoryBytes final : public ReadAt {
 public:
  explicit MemoryBytes(ByteSpan bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    LAYBY_ASSERT(offset <= bytes_.size() && out.size() <= bytes_.size() - offset);
    std::copy_n(bytes_.data() + offset, out.size(), out.data());
    return {};
  }

 private:
  ByteSpan bytes_;
};

}  // namespace layby::tests
