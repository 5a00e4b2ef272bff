// File system images and executables in them, as the encoder reads them: every range lies inside,
// and the table of addresses that is made of them is one that the applier takes.
#include "base/assert.h"
#include "delta/elf_ranges.h"
#include "delta/image_files.h"

using namespace layby;
using namespace layby::delta;

namespace {

void check_files(ByteSpan image) {
  const auto files = find_image_files(image);
  if (!files) return;
  std::uint64_t sum = 0;
  for (const ImageFile& file : *files) {
    std::uint64_t end = 0;
    for (const FileExtent& extent : file.extents) {
      LAYBY_ASSERT(extent.file_offset >= end && extent.bytes > 0);
      LAYBY_ASSERT(extent.file_end() <= file.bytes && extent.image_offset <= image.size());
      LAYBY_ASSERT(extent.bytes <= image.size() - extent.image_offset);
      end = extent.file_end();
      sum += extent.bytes;
    }
  }
  LAYBY_ASSERT(sum <= image.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan base(data, size);
  check_files(base);
  Bytes target(base.begin(), base.end());
  for (std::size_t i = 777; i < size; i += 997) target[i] ^= 1;
  const Bytes table = serialise_address_table(find_addresses(base, target));
  LAYBY_ASSERT(parse_address_table(table, size, size).has_value());
  return 0;
}
