// What the matcher finds and the coder writes down.
#pragma once

#include <cstdint>
#include <vector>

namespace layby::delta {

// Target bytes that resemble base bytes, or earlier target bytes; a few of them may differ.
struct Copy {
  enum class Source : std::uint8_t {
    kBase,
    kTarget,
    kMirror,  // of the target; source_offset is where the steps end that mirror.h turns round
  };

  std::uint64_t target_offset = 0;
  std::uint64_t source_offset = 0;
  std::uint64_t bytes = 0;
  Source source = Source::kBase;
};

// How many copies a chunk of CoderId::kMixed may have: one for so many of its bytes, and some.
constexpr std::uint64_t kCopyBytesFair = 8;
constexpr std::uint64_t copies_max(std::uint64_t chunk_bytes) {
  return 1024 + chunk_bytes / kCopyBytesFair;
}

// In order of the target, without overlap, none of them empty. What no copy covers is new.
using CopyList = std::vector<Copy>;

}  // namespace layby::delta
