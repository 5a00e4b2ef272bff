// Region images: what unpacks has the very same image again.
#include "base/assert.h"
#include "manifest/region_image.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::manifest;

namespace {

class MemoryImage final : public ReadAt {
 public:
  explicit MemoryImage(ByteSpan bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    LAYBY_ASSERT(offset <= bytes_.size() && out.size() <= bytes_.size() - offset);
    std::copy_n(bytes_.data() + offset, out.size(), out.data());
    return {};
  }

 private:
  ByteSpan bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const tests::TempDir dir;
  RealDisk disk;
  const bool unpacked =
      unpack_region_image(MemoryImage({data, size}), disk, dir / "region").has_value();
  LAYBY_ASSERT(disk.list(dir.path())->size() <= 1);
  if (!unpacked) return 0;
  const auto view = RegionImage::open(disk, dir / "region");
  LAYBY_ASSERT(view && (*view)->size() == size);
  Bytes bytes(size);
  LAYBY_ASSERT((*view)->read_at(0, bytes));
  LAYBY_ASSERT(std::equal(bytes.begin(), bytes.end(), data));
  return 0;
}
