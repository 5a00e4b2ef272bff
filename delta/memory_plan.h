// How the memory that the encoder may use is shared out. What decides about the payload's bytes
// depends on the sizes of the images and on the bound alone, not on the machine.
#pragma once

#include "base/mapped_file.h"
#include "delta/encoder.h"

namespace layby::delta {

struct ImageSizes {
  std::uint64_t base = 0;    // of what matches are looked for in: the view
  std::uint64_t target = 0;  // likewise
  std::uint64_t all = 0;     // of all that stands as it is: images, views, images made alike
  // Besides, before there are seeds and tables: an image without addresses, while others are made
  // alike.
  std::uint64_t passing = 0;
};

struct MemoryPlan {
  EncodeReport::Search search = EncodeReport::Search::kNone;
  Expanse::Where where = Expanse::Where::kHeap;  // images
  std::uint64_t file_pages_bytes_max = 0;        // for kFile: of images, held at once
  std::uint64_t sorted_bytes_max = 0;            // for kRegions: of the base, at once
  std::uint64_t block_table_bytes_max = 0;
  std::uint64_t repeat_table_bytes = 0;
  std::uint64_t border_table_bytes = 0;
  unsigned threads = 1;
};

// kTooLarge where the bound is below what the work takes whatever the images.
Result<MemoryPlan> plan_memory(const ImageSizes& sizes, CoderId coder,
                               const EncodeOptions& options);

}  // namespace layby::delta
