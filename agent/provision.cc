#include "agent/provision.h"

#include <algorithm>

#include "agent/journal.h"
#include "agent/kept_file.h"
#include "agent/secondaries.h"
#include "agent/software_slot.h"
#include "base/limits.h"
#include "manifest/region_image.h"
#include "manifest/repository.h"

namespace layby::agent {
namespace {

constexpr std::uint64_t kCaBytesMax = 256 * kKiB;
constexpr std::size_t kCopyBytes = 1 * kMiB;
constexpr std::string_view kFactoryVersion = "factory";
constexpr std::string_view kScheme = "https://";

Result<void> copy(const ReadAt& from, Disk& disk, const std::string& to) {
  TRY_VOID(disk.make_dirs(parent_dir(to)));
  const auto file = TRY(disk.open_write(to));
  TRY_VOID(file->truncate(0));
  Bytes buffer(kCopyBytes);
  for (std::uint64_t at = 0; at < from.size();) {
    const std::size_t count = std::min<std::uint64_t>(buffer.size(), from.size() - at);
    TRY_VOID(from.read_at(at, MutableByteSpan(buffer).first(count)));
    TRY_VOID(file->write_at(at, ByteSpan(buffer).first(count)));
    at += count;
  }
  TRY_VOID(file->sync());
  return disk.sync_dir(parent_dir(to));
}

// A root that is not one is found out in the factory and not on the road.
Result<void> install_root(Disk& disk, const std::string& from, const std::string& directory) {
  const Bytes root = TRY(read_file(disk, from, kRootBytesMax));
  manifest::StoredRoles stored;
  stored.root = root;
  TRY_CONTEXT(manifest::TrustedRepository::load(stored), from);
  TRY_VOID(disk.make_dirs(directory));
  return write_kept(disk, directory + "/root.json", root);
}

Result<SlotRecord> install_region(Disk& disk, const Layout& layout,
                                  const manifest::RegionId& region, const std::string& from,
                                  std::uint64_t release_counter) {
  const auto view = TRY_CONTEXT(manifest::RegionImage::open(disk, from), from);
  const auto digests = TRY(crypto::hash_all(*view, crypto::Hasher::With::kSha256));
  auto name = TRY(
      manifest::ImageName::parse(fmt::format("maps/{}/{}.tar", region.text(), kFactoryVersion)));
  ImageProgress image{.name = std::move(name), .slot = manifest::Slot::map(region)};
  image.sha256 = digests.sha256;
  const std::string path = Layout::region_path(image);
  TRY_VOID(disk.make_dirs(layout.regions()));
  TRY_VOID(disk.remove_tree(layout.absolute(path)));
  TRY_VOID(manifest::unpack_region_image(*view, disk, layout.absolute(path)));
  TRY_VOID(disk.sync_dir(layout.regions()));
  return SlotRecord{.image = image.name,
                    .version = std::string(kFactoryVersion),
                    .sha256 = digests.sha256,
                    .length = digests.length,
                    .release_counter = release_counter,
                    .path = path};
}

// What runs is not written over itself: the image may be given from the very slot.
Result<bool> holds(Disk& disk, const std::string& path, const crypto::Hasher::Digests& wanted) {
  if (const auto status = disk.status(path); !status) {
    if (status.error().code() == ErrorCode::kNotFound) return false;
    return fail(status.error());
  }
  const auto slot = TRY(open_software(disk, path, wanted.length));
  if (slot->size() != wanted.length) return false;
  const auto digests = TRY(crypto::hash_all(*slot, crypto::Hasher::With::kSha256));
  return digests.sha256 == wanted.sha256;
}

// The slot that the image is given from, if it is one of the two: then that is the one that runs.
std::optional<BootSlot> slot_given(Disk& disk, const Layout& layout, const std::string& from) {
  for (const BootSlot slot : {BootSlot::kA, BootSlot::kB}) {
    const std::string path = layout.absolute(Layout::software_path(slot));
    if (disk.status(path) && is_same_file(disk, from, path)) return slot;
  }
  return std::nullopt;
}

Result<SlotRecord> install_software(Disk& disk, const Layout& layout, const FactoryState& factory) {
  const auto given = slot_given(disk, layout, factory.software_path);
  if (given && factory.running_slot && *given != *factory.running_slot)
    return fail(ErrorCode::kInvalidArgument,
                "the image is that of slot {}, and slot {} is said to run", to_string(*given),
                to_string(*factory.running_slot));
  const auto file = TRY(disk.open_read(factory.software_path));
  const auto digests = TRY(crypto::hash_all(*file, crypto::Hasher::With::kSha256));
  const BootSlot running = given.value_or(factory.running_slot.value_or(BootSlot::kA));
  const std::string path = Layout::software_path(running);
  const bool is_there = TRY(holds(disk, layout.absolute(path), digests));
  if (!is_there && given)
    return fail(ErrorCode::kCorrupt, "{}: two readings differ", factory.software_path);
  if (!is_there) TRY_VOID(copy(*file, disk, layout.absolute(path)));
  auto name = TRY(manifest::ImageName::parse(
      fmt::format("software/{}/{}.img", factory.identity.hardware.text(), kFactoryVersion)));
  return SlotRecord{.image = std::move(name),
                    .version = std::string(kFactoryVersion),
                    .sha256 = digests.sha256,
                    .length = digests.length,
                    .release_counter = factory.software_counter,
                    .path = path};
}

Result<void> link_software_slots(Disk& disk, const Layout& layout, const FactoryState& factory) {
  if (factory.software_slot_a.empty() != factory.software_slot_b.empty() ||
      (!factory.software_slot_a.empty() && factory.software_slot_a == factory.software_slot_b))
    return fail(ErrorCode::kInvalidArgument, "software has two slots or none of its own");
  if (factory.software_slot_a.empty()) return {};
  const std::pair<std::string, std::string> links[] = {{"a.img", factory.software_slot_a},
                                                       {"b.img", factory.software_slot_b}};
  for (const auto& [name, device] : links) {
    if (!device.starts_with('/'))
      return fail(ErrorCode::kInvalidArgument, "{}: a slot's path begins with /", device);
    TRY_VOID(disk.open_read(device).map([](const auto&) {}));
    TRY_VOID(disk.remove(layout.software() + "/" + name));
    TRY_VOID(disk.symlink(device, layout.software() + "/" + name));
  }
  return disk.sync_dir(layout.software());
}

Result<void> make_first_set(Disk& disk, const Layout& layout, const Record& record) {
  const std::string set = layout.set(record.map_set);
  TRY_VOID(disk.remove_tree(set));
  TRY_VOID(disk.make_dirs(set));
  for (const auto& [slot, held] : record.slots)
    if (slot.kind() == manifest::ImageKind::kMap)
      TRY_VOID(disk.symlink("../../../" + held.path, set + "/" + std::string(slot.id())));
  TRY_VOID(disk.sync_dir(set));
  TRY_VOID(disk.remove(layout.current_set()));
  TRY_VOID(disk.symlink("sets/" + std::to_string(record.map_set), layout.current_set()));
  return disk.sync_dir(layout.maps());
}

}  // namespace

Result<void> provision(Disk& disk, const Layout& layout, const FactoryState& factory) {
  if (disk.status(layout.identity()))
    return fail(ErrorCode::kAlreadyExists, "{} is provisioned already: there is a {}",
                layout.directory(), layout.identity());
  // Found out in the factory and not on the road: car.json is written once.
  if (!factory.identity.server_url.starts_with(kScheme) ||
      factory.identity.server_url.size() == kScheme.size())
    return fail(ErrorCode::kInvalidArgument, "server URL {}: https://HOST:PORT is wanted",
                factory.identity.server_url);
  TRY_VOID(disk.make_dirs(layout.directory()));
  TRY_VOID(install_root(disk, factory.director_root_path, layout.director_trust()));
  TRY_VOID(install_root(disk, factory.image_root_path, layout.image_trust()));
  TRY_VOID(make_keys(disk, layout));
  // Also over what a provisioning that broke off has left.
  const auto left = read_ecu_list(disk, layout);
  if (!factory.ecu_addresses.empty() || !left || !left->addresses.empty())
    TRY_VOID(write_ecu_list(disk, layout, {.addresses = factory.ecu_addresses}));
  TRY_VOID(replace_file(disk, layout.ca(), TRY(read_file(disk, factory.ca_path, kCaBytesMax))));
  for (const std::string& folder :
       {layout.inbox(), layout.outbox(), layout.licences(), layout.functions(), layout.software(),
        layout.regions(), layout.sets()})
    TRY_VOID(disk.make_dirs(folder));

  TRY_VOID(link_software_slots(disk, layout, factory));
  Record record;
  record.factory_slot = factory.running_slot;
  for (const auto& [region, directory] : factory.map_directories)
    record.slots.emplace(manifest::Slot::map(region),
                         TRY(install_region(disk, layout, region, directory, factory.map_counter)));
  if (!factory.software_path.empty())
    record.slots.emplace(manifest::Slot::software(), TRY(install_software(disk, layout, factory)));
  TRY_VOID(make_first_set(disk, layout, record));
  TRY_VOID(Journal::create(disk, layout.directory(), std::move(record)));
  return write_identity(disk, layout, factory.identity);  // the mark: last
}

}  // namespace layby::agent
