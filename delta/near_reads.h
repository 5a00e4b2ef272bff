// Copies of a chunk are often small and near each other: without this each is a read of the disk's.
#pragma once

#include <algorithm>
#include <array>

#include "base/disk.h"
#include "base/limits.h"

namespace layby::delta {

// Reads an image by lines, and keeps the last ones: 256 KiB of memory, whatever the image. The
// image must not change meanwhile. One thread at a time.
class NearReads final : public ReadAt {
 public:
  explicit NearReads(const ReadAt& image) : image_(image), lines_(kLines * kLineBytes) {
    starts_.fill(kNone);
  }

  std::uint64_t size() const override { return image_.size(); }

  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    const bool is_inside = offset <= size() && out.size() <= size() - offset;
    // A long one gains nothing, and one that reaches past the end is the image's to refuse.
    if (!is_inside || out.size() >= kLineBytes) return image_.read_at(offset, out);
    while (!out.empty()) {
      const std::uint64_t start = offset - offset % kLineBytes;
      const ByteSpan line = TRY(load(start));
      const auto skipped = static_cast<std::size_t>(offset - start);
      const std::size_t bytes = std::min(out.size(), line.size() - skipped);
      std::copy_n(line.begin() + static_cast<std::ptrdiff_t>(skipped), bytes, out.begin());
      out = out.subspan(bytes);
      offset += bytes;
    }
    return {};
  }

 private:
  static constexpr std::size_t kLineBytes = 8 * kKiB;
  static constexpr std::size_t kLines = 32;
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  Result<ByteSpan> load(std::uint64_t start) const {
    const auto which = static_cast<std::size_t>(start / kLineBytes % kLines);
    const auto bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(kLineBytes, size() - start));
    const MutableByteSpan line = MutableByteSpan(lines_).subspan(which * kLineBytes, bytes);
    if (starts_[which] == start) return line;
    starts_[which] = kNone;  // a read that fails leaves anything there
    TRY_VOID(image_.read_at(start, line));
    starts_[which] = start;
    return line;
  }

  const ReadAt& image_;
  mutable Bytes lines_;
  mutable std::array<std::uint64_t, kLines> starts_;
};

}  // namespace layby::delta
