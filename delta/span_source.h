// Bytes in memory as a source to read from.
#pragma once

#include <algorithm>

#include "base/disk.h"

namespace layby::delta {

class SpanSource final : public ReadAt {
 public:
  explicit SpanSource(ByteSpan bytes) : bytes_(bytes) {}  // which must outlive it

  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return fail(ErrorCode::kIo, "{} bytes at {} of {}", out.size(), offset, bytes_.size());
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

 private:
  ByteSpan bytes_;
};

}  // namespace layby::delta
