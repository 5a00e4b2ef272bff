// A file in memory, and generated contents with a seed, for the tests of the codec.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "base/disk.h"

namespace layby::delta::tests {

class MemoryFile : public File {
 public:
  MemoryFile() = default;
  explicit MemoryFile(Bytes contents) : bytes(std::move(contents)) {}

  std::uint64_t size() const override { return bytes.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > bytes.size() || out.size() > bytes.size() - offset)
      return fail(ErrorCode::kIo, "reading past the end");
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
  Result<void> write_at(std::uint64_t offset, ByteSpan from) override {
    if (bytes.size() < offset + from.size()) bytes.resize(offset + from.size());
    std::copy(from.begin(), from.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  Result<void> truncate(std::uint64_t size) override {
    bytes.resize(size);
    return {};
  }
  Result<void> sync() override { return {}; }

  Bytes bytes;
};

using Random = std::mt19937_64;

inline Bytes noise(Random& random, std::size_t size) {
  Bytes out(size);
  for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
  return out;
}

// Words that repeat, as in text and tables.
inline Bytes prose(Random& random, std::size_t size) {
  Bytes out;
  while (out.size() < size) {
    const std::string word = "word" + std::to_string(random() % 500) + " ";
    out.insert(out.end(), word.begin(), word.end());
  }
  out.resize(size);
  return out;
}

// A later version of `base`: scattered changes, insertions, removals, moved blocks.
inline Bytes later_version(Random& random, Bytes base, int edits) {
  for (int i = 0; i < edits && base.size() > 64; ++i) {
    const std::size_t at = random() % (base.size() - 32);
    const auto place = base.begin() + static_cast<std::ptrdiff_t>(at);
    const auto size = static_cast<std::ptrdiff_t>(1 + random() % 32);
    switch (random() % 4) {
      case 0:
        for (std::ptrdiff_t k = 0; k < size; k += 3) place[k] = static_cast<std::uint8_t>(random());
        break;
      case 1: {
        const Bytes fresh = prose(random, static_cast<std::size_t>(size));
        base.insert(place, fresh.begin(), fresh.end());
        break;
      }
      case 2: base.erase(place, place + size); break;
      case 3: std::rotate(base.begin(), place, base.end()); break;
    }
  }
  return base;
}

}  // namespace layby::delta::tests
