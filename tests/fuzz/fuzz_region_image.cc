// Region images: what unpacks has the very same image again.
#include "base/assert.h"
#include "manifest/region_image.h"
#include "tests/fuzz/memory_bytes.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::manifest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const tests::TempDir dir;
  RealDisk disk;
  const bool unpacked =
      unpack_region_image(tests::MemoryBytes({data, size}), disk, dir / "region").has_value();
  LAYBY_ASSERT(disk.list(dir.path())->size() <= 1);
  if (!unpacked) return 0;
  const auto view = RegionImage::open(disk, dir / "region");
  LAYBY_ASSERT(view && (*view)->size() == size);
  Bytes bytes(size);
  LAYBY_ASSERT((*view)->read_at(0, bytes));
  LAYBY_ASSERT(std::equal(bytes.begin(), bytes.end(), data));
  return 0;
}
