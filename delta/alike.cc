#include "delta/alike.h"

#include <algorithm>

#include "delta/residence.h"
#include "delta/share_out.h"

namespace layby::delta {
namespace {

constexpr std::uint64_t kDigestedBytes = 24;

// What one thread takes at once. A field that goes on behind it counts as none.
constexpr std::uint64_t kPartBytes = 1 << 20;

// Calls `use(offset, field, module)` for every field of the image, from several threads.
template <typename Use>
void for_each_field(ByteSpan image, const std::vector<Module>& modules,
                    const std::vector<AddressRange>& ranges, unsigned threads, Use use) {
  struct Part {
    const AddressRange* range;
    std::uint64_t begin;
    std::uint64_t end;
  };
  std::vector<Part> parts;
  for (const AddressRange& range : ranges) {
    if (range.kind == RangeKind::kNothing) continue;
    for (std::uint64_t at = range.offset; at < range.end(); at += kPartBytes)
      parts.push_back({&range, at, std::min(at + kPartBytes, range.end())});
  }
  share_out(parts.size(), threads, [&](std::size_t i) {
    const Part& part = parts[i];
    const Module& module = modules[part.range->module];
    for (std::uint64_t at = part.begin; at < part.end;) {
      const Field field = find_field(module, *part.range, image, at, at);
      if (field && at + field.bytes <= part.end) use(at, field, part.range->module);
      at += field ? field.bytes : 1;
    }
    let_pages_go();
    return true;
  });
}

// Where in the image an address of a module is.
class Places {
 public:
  Places(std::size_t modules, const std::vector<AddressRange>& ranges) : of_module_(modules) {
    for (const AddressRange& range : ranges) of_module_[range.module].push_back(&range);
    for (auto& of : of_module_)
      std::sort(of.begin(), of.end(), [](const AddressRange* a, const AddressRange* b) {
        return first_address(*a) < first_address(*b);
      });
  }

  // The image's end for an address that is not in it.
  std::uint64_t offset_of(std::uint32_t module, std::uint64_t address,
                          std::uint64_t image_bytes) const {
    const auto& of = of_module_[module];
    const auto after = std::upper_bound(of.begin(), of.end(), address,
                                        [](std::uint64_t wanted, const AddressRange* range) {
                                          return wanted < first_address(*range);
                                        });
    if (after == of.begin()) return image_bytes;
    const AddressRange& range = **(after - 1);
    const std::uint64_t offset = address - range.address_shift;
    return offset < range.end() ? offset : image_bytes;
  }

 private:
  static std::uint64_t first_address(const AddressRange& range) {
    return range.offset + range.address_shift;
  }

  std::vector<std::vector<const AddressRange*>> of_module_;
};

std::uint32_t digest(ByteSpan bytes) {
  std::uint64_t state = bytes.size();
  for (const std::uint8_t byte : bytes) {
    state = (state ^ byte) * 0x9e3779b97f4a7c15ull;
    state ^= state >> 29;
  }
  return static_cast<std::uint32_t>(state >> 16);
}

}  // namespace

void make_alike(ByteSpan image, const std::vector<Module>& modules,
                const std::vector<AddressRange>& ranges, unsigned threads, MutableByteSpan bare,
                MutableByteSpan alike) {
  copy_in_windows(image, bare);
  // Bits of a field that are no address stay: of AArch64 the operation and its registers.
  for_each_field(
      image, modules, ranges, threads, [&](std::uint64_t at, const Field& field, std::uint32_t) {
        store_field(field, without_number(field, load_field(field, &image[at])), &bare[at]);
      });
  copy_in_windows(bare, alike);
  const Places places(modules.size(), ranges);
  for_each_field(
      image, modules, ranges, threads,
      [&](std::uint64_t at, const Field& field, std::uint32_t module) {
        const std::uint64_t to = places.offset_of(module, field.address, image.size());
        const std::uint32_t name = digest(
            ByteSpan(bare).subspan(to, std::min<std::uint64_t>(kDigestedBytes, image.size() - to)));
        store_field(field, add_units(field, load_field(field, &bare[at]), name), &alike[at]);
      });
}

}  // namespace layby::delta
