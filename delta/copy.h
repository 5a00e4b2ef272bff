// What the matcher finds and the coder writes down.
#pragma once

#include <cstdint>
#include <vector>

namespace layby::delta {

// Target bytes that resemble base bytes, or earlier target bytes; a few of them may differ.
struct Copy {
  enum class Source : std::uint8_t { kBase, kTarget };

  std::uint64_t target_offset = 0;
  std::uint64_t source_offset = 0;
  std::uint64_t bytes = 0;
  Source source = Source::kBase;
};

// In order of the target, without overlap, none of them empty. What no copy covers is new.
using CopyList = std::vector<Copy>;

}  // namespace layby::delta
