// Installer: software of the car's other ECUs. The bytes lie here as one image each; every ECU that
// it is for takes them over and verifies them itself.
#include "agent/install.h"
#include "base/assert.h"

namespace layby::agent {

// What the head unit boots and what the others boot cannot be switched, nor taken back, as one.
Result<void> Installer::check_ecu_images(const OrderRecord& order) const {
  for (const ImageProgress& image : order.images) {
    if (!image.slot.is_secondary())
      return fail(ErrorCode::kUnsupported,
                  "software of other ECUs and {} in one order: they need an order each",
                  image.slot.text());
    if (image.ecus.empty())
      return fail(ErrorCode::kWrongEcu, "{} is for no ECU of this car", image.name.text());
  }
  return {};
}

// Where it came in, or where what came earlier is kept.
std::string Installer::ecu_image_path(const OrderRecord& order, std::size_t index,
                                      const Record& record) const {
  const std::string staged = layout_.staging(order, index, record);
  if (disk_.status(staged)) return staged;
  return layout_.absolute(Layout::ecu_image_path(order.images[index]));
}

Result<void> Installer::stage_ecu_images(const OrderRecord& order, const Record& record) {
  for (std::size_t i = 0; i < order.images.size(); ++i) {
    const ImageProgress& image = order.images[i];
    const std::string path = ecu_image_path(order, i, record);
    const auto content = TRY_CONTEXT(disk_.open_read(path), image.name.text());
    TRY_VOID(check_image(*content, image, path));
    for (const manifest::EcuSerial& serial : image.ecus)
      TRY_VOID(secondaries_.stage(serial, image, *content));
  }
  return {};
}

// One ECU's, whose own copy was damaged after it had passed.
Result<void> Installer::stage_again(const OrderRecord& order, const Record& record,
                                    const manifest::EcuSerial& serial,
                                    const crypto::Digest256& sha256) {
  for (std::size_t i = 0; i < order.images.size(); ++i) {
    const ImageProgress& image = order.images[i];
    if (image.sha256 != sha256) continue;
    const std::string path = ecu_image_path(order, i, record);
    const auto content = TRY_CONTEXT(disk_.open_read(path), image.name.text());
    TRY_VOID(check_image(*content, image, path));
    return secondaries_.stage(serial, image, *content);
  }
  LAYBY_ASSERT(false);
}

bool Installer::have_word(const OrderRecord& order) {
  return secondaries_.have_word(order);
}

std::uint64_t Installer::visits_with_news() const {
  return secondaries_.visits_with_news();
}

Result<void> Installer::check_set(const OrderRecord& order, const MaySwitch& may_switch) {
  return secondaries_.check(order, may_switch);
}

Result<void> Installer::check_all_there(const OrderRecord& order) const {
  return secondaries_.check_all_there(order);
}

// The primary keeps each image: the next one then comes as a delta from it.
Result<void> Installer::keep_ecu_images(const OrderRecord& order, Record& record,
                                        const MaySwitch& may_switch) {
  LAYBY_ASSERT(order.committed);
  const auto again = [&](const manifest::EcuSerial& serial, const crypto::Digest256& sha256) {
    return stage_again(order, record, serial, sha256);
  };
  TRY_VOID(secondaries_.keep(order, may_switch, again));
  TRY_VOID(disk_.make_dirs(layout_.ecu_images()));
  for (std::size_t i = 0; i < order.images.size(); ++i) {
    const std::string from = ecu_image_path(order, i, record);
    const std::string to = layout_.absolute(Layout::ecu_image_path(order.images[i]));
    if (from != to && disk_.status(from)) TRY_VOID(disk_.rename(from, to));
  }
  TRY_VOID(disk_.sync_dir(layout_.ecu_images()));
  for (const ImageProgress& image : order.images)
    record.slots.insert_or_assign(image.slot, SlotRecord{.image = image.name,
                                                         .version = image.version,
                                                         .sha256 = image.sha256,
                                                         .length = image.length,
                                                         .release_counter = image.release_counter,
                                                         .path = Layout::ecu_image_path(image)});
  return {};
}

}  // namespace layby::agent
