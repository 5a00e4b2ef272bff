#include "agent/layout.h"

#include "base/assert.h"

namespace layby::agent {
namespace {

constexpr std::size_t kDigestDigits = 16;  // of a name: tells versions of one thing apart

std::string with_digest(std::string_view id, const ImageProgress& image) {
  return std::string(id) + "-" + to_hex(image.sha256).substr(0, kDigestDigits);
}

}  // namespace

std::string Layout::head(const OrderRecord& order, std::size_t image) const {
  return absolute("inbox/" + order.id.text() + "." + std::to_string(image) + ".head");
}

std::string Layout::staging(const OrderRecord& order, std::size_t image,
                            const Record& record) const {
  const manifest::Slot& slot = order.images[image].slot;
  if (slot.is_secondary())
    return absolute("inbox/" + order.id.text() + "." + std::to_string(image) + ".img");
  switch (slot.kind()) {
    case manifest::ImageKind::kSoftware: return absolute(spare_software_path(record));
    case manifest::ImageKind::kMap:
    case manifest::ImageKind::kFunction:
      return absolute("inbox/" + order.id.text() + "." + std::to_string(image) + ".img");
  }
  LAYBY_ASSERT(false);
}

std::string Layout::region_path(const ImageProgress& image) {
  return "maps/regions/" + with_digest(image.slot.id(), image);
}

std::string Layout::package_path(const ImageProgress& image) {
  return "functions/" + with_digest(image.slot.id(), image) + ".pkg";
}

std::string Layout::ecu_image_path(const ImageProgress& image) {
  return "ecus/" + with_digest(image.slot.id(), image) + ".img";
}

std::string Layout::software_path(BootSlot slot) {
  return "software/" + std::string(to_string(slot)) + ".img";
}

std::string Layout::live_software_path(const Record& record) {
  const auto live = record.slots.find(manifest::Slot::software());
  if (live != record.slots.end()) return live->second.path;
  return software_path(record.factory_slot.value_or(BootSlot::kA));
}

std::string Layout::spare_software_path(const Record& record) {
  const bool a_is_live = live_software_path(record) == software_path(BootSlot::kA);
  return software_path(a_is_live ? BootSlot::kB : BootSlot::kA);
}

}  // namespace layby::agent
