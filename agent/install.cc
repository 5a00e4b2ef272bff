#include "agent/install.h"

#include <algorithm>
#include <set>

#include "agent/software_slot.h"
#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/region_image.h"

namespace layby::agent {
namespace {

using manifest::ImageKind;
using manifest::OrderAction;

SlotRecord slot_record(const ImageProgress& image, std::string path) {
  return {.image = image.name,
          .version = image.version,
          .sha256 = image.sha256,
          .length = image.length,
          .release_counter = image.release_counter,
          .path = std::move(path)};
}

// Where an order's software lies: in the live slot if it is there already, else in the spare one.
std::string software_path(const OrderRecord& order, const Record& record) {
  const auto live = record.slots.find(manifest::Slot::software());
  if (live != record.slots.end() && live->second.sha256 == order.images.front().sha256)
    return live->second.path;
  return Layout::spare_software_path(record);
}

// After a kill all of it may be there, and none of it on the medium.
Result<void> sync_tree(Disk& disk, const std::string& directory) {
  for (const std::string& name : TRY(disk.list(directory))) {
    const std::string path = directory + "/" + name;
    if (TRY(disk.status(path)).kind == FileStatus::Kind::kDirectory) {
      TRY_VOID(sync_tree(disk, path));
    } else {
      const auto file = TRY(disk.open_write(path));
      TRY_VOID(file->sync());
    }
  }
  return disk.sync_dir(directory);
}

std::string until_text(const std::optional<UnixSeconds>& until) {
  return until ? format_utc(*until) : std::string{};
}

// What was new when it was listed may be old by now: another order has come to its end meanwhile
// (Uptane 5.4.3.4(5), at the moment of installing). ECUs look at theirs themselves.
Result<void> check_not_older(const OrderRecord& order, const Record& record) {
  for (const ImageProgress& image : order.images) {
    const auto held = record.slots.find(image.slot);
    if (image.slot.is_secondary() || held == record.slots.end()) continue;
    if (image.release_counter < held->second.release_counter)
      return fail(ErrorCode::kImageRollback, "{}: release counter {}, installed is {}",
                  image.name.text(), image.release_counter, held->second.release_counter);
  }
  return {};
}

}  // namespace

Result<void> check_image(const ReadAt& content, const ImageProgress& image,
                         const std::string& path) {
  const auto digests = TRY(crypto::hash_all(content, crypto::Hasher::With::kSha256));
  if (digests.sha256 != image.sha256 || digests.length != image.length)
    return fail(ErrorCode::kWrongImage, "{} does not have the signed digest and length of {}", path,
                image.name.text());
  return {};
}

ImageKind Installer::kind(const OrderRecord& order) const {
  LAYBY_ASSERT(!order.images.empty());
  return order.images.front().slot.kind();
}

Result<void> Installer::check(const OrderRecord& order, const Record& record) const {
  if (order.action == OrderAction::kInstall) {
    if (order.images.empty()) return fail(ErrorCode::kBadFormat, "the order names no images");
    TRY_VOID(check_not_older(order, record));
    const ImageKind first = kind(order);
    if (std::ranges::any_of(order.images,
                            [](const auto& image) { return image.slot.is_secondary(); }))
      return check_ecu_images(order);
    for (const ImageProgress& image : order.images)
      if (image.slot.kind() != first)
        return fail(ErrorCode::kUnsupported, "the order mixes kinds of images");
    if (first != ImageKind::kMap && order.images.size() != 1)
      return fail(ErrorCode::kUnsupported, "more than one image for software or a function");
    if (first != ImageKind::kFunction || order.licence.empty()) return {};
    const auto licence =
        TRY(licences_.open_for_package(order.licence, order.images.front(), record));
    if (licence->state == manifest::LicenceState::kRevoked)
      return fail(ErrorCode::kLicenceRefused, "the licence is revoked");
    return {};
  }
  if (order.licence.empty()) return fail(ErrorCode::kBadFormat, "the order has no licence");
  const auto opened = TRY(licences_.open_for_installed(order.licence, record));
  const bool is_revoked = opened.licence->state == manifest::LicenceState::kRevoked;
  if (is_revoked != (order.action == OrderAction::kDeactivate))
    return fail(ErrorCode::kLicenceRefused, "the licence does not fit the order's action");
  return {};
}

bool Installer::is_lapsed(const OrderRecord& order, const Record& record, UnixSeconds now) const {
  if (order.action != OrderAction::kInstall || order.licence.empty()) return false;
  const auto licence = licences_.open_for_package(order.licence, order.images.front(), record);
  return licence && manifest::state_at(**licence, now) == manifest::FunctionState::kExpired;
}

std::optional<manifest::FunctionId> Installer::function_in(const OrderRecord& order,
                                                           const Record& record) const {
  if (order.action == OrderAction::kInstall) {
    if (kind(order) != ImageKind::kFunction) return std::nullopt;
    return order.images.front().function();
  }
  const auto opened = licences_.open_for_installed(order.licence, record);
  if (!opened) return std::nullopt;
  return opened->function;
}

// ---- installing ---------------------------------------------------------------------------------

Result<void> Installer::prepare(const OrderRecord& order, Record& record) {
  if (order.action != OrderAction::kInstall) return keep_licence(order, record);
  if (is_for_secondaries(order)) return stage_ecu_images(order, record);
  switch (kind(order)) {
    case ImageKind::kMap:
      TRY_VOID(disk_.remove(layout_.room(order)));  // it was kept free for this
      for (std::size_t i = 0; i < order.images.size(); ++i)
        TRY_VOID(place_region(order, i, record));
      return prepare_map_set(order, record);
    case ImageKind::kSoftware: return check_software(order, record);
    case ImageKind::kFunction:
      TRY_VOID(place_package(order, 0, record));
      return keep_licence(order, record);
  }
  LAYBY_ASSERT(false);
}

Result<void> Installer::place_region(const OrderRecord& order, std::size_t index,
                                     const Record& record) {
  const ImageProgress& image = order.images[index];
  const std::string image_path = Layout::region_path(image);
  const std::string directory = layout_.absolute(image_path);
  const std::string archive = layout_.staging(order, index, record);
  const auto matches = [&]() -> Result<void> {
    const auto view = TRY(manifest::RegionImage::open(disk_, directory));
    return check_image(*view, image, directory);
  };
  const auto live = record.slots.find(image.slot);
  const bool is_live = live != record.slots.end() && live->second.path == image_path;
  if (is_live) {
    TRY_VOID(matches());  // never from under a reader's feet
  } else if (!disk_.status(directory) || !matches()) {
    TRY_VOID(disk_.remove_tree(directory));
    TRY_VOID(disk_.make_dirs(layout_.regions()));
    const auto packed = TRY_CONTEXT(disk_.open_read(archive), image.name.text());
    TRY_VOID(manifest::unpack_region_image(*packed, disk_, directory));
    TRY_VOID(matches());  // read back from where it will be used
  } else {
    TRY_VOID(sync_tree(disk_, directory));
  }
  TRY_VOID(disk_.sync_dir(layout_.regions()));
  return disk_.remove(archive);  // the directory is the one copy from now on
}

bool Installer::is_here(const OrderRecord& order, std::size_t index, const Record& record) const {
  const ImageProgress& image = order.images[index];
  const auto holds = [&](const std::string& path) {
    const auto file = disk_.open_read(path);
    return file && check_image(**file, image, path);
  };
  if (image.slot.is_secondary()) return holds(ecu_image_path(order, index, record));
  switch (image.slot.kind()) {
    case ImageKind::kSoftware: return holds(layout_.absolute(software_path(order, record)));
    case ImageKind::kFunction:
      return holds(layout_.absolute(Layout::package_path(image))) ||
             holds(layout_.staging(order, index, record));
    case ImageKind::kMap: {
      const std::string directory = layout_.absolute(Layout::region_path(image));
      const auto view = manifest::RegionImage::open(disk_, directory);
      return (view && check_image(**view, image, directory)) ||
             holds(layout_.staging(order, index, record));
    }
  }
  LAYBY_ASSERT(false);
}

void Installer::forget_damaged(OrderRecord& order, const Record& record) const {
  for (std::size_t i = 0; i < order.images.size(); ++i)
    if (!is_here(order, i, record)) order.images[i].forget();
}

Result<void> Installer::prepare_map_set(const OrderRecord& order, const Record& record) {
  std::map<std::string, std::string> regions;  // name and path of each in the new set
  for (const auto& [slot, held] : record.slots)
    if (slot.kind() == ImageKind::kMap) regions[std::string(slot.id())] = held.path;
  for (const ImageProgress& image : order.images)
    regions[std::string(image.slot.id())] = Layout::region_path(image);
  const std::string set = layout_.set(record.map_set + 1);
  TRY_VOID(disk_.remove_tree(set));
  TRY_VOID(disk_.make_dirs(set));
  for (const auto& [region, path] : regions)
    TRY_VOID(disk_.symlink("../../../" + path, set + "/" + region));
  TRY_VOID(disk_.sync_dir(set));
  return disk_.sync_dir(layout_.sets());
}

Result<void> Installer::place_package(const OrderRecord& order, std::size_t index,
                                      const Record& record) {
  const ImageProgress& image = order.images[index];
  const std::string path = layout_.absolute(Layout::package_path(image));
  const std::string staged = layout_.staging(order, index, record);
  TRY_VOID(disk_.make_dirs(layout_.functions()));
  if (disk_.status(staged)) TRY_VOID(disk_.rename(staged, path));
  TRY_VOID(disk_.sync_dir(layout_.functions()));  // also what a kill left unsynced
  return check_image(*TRY_CONTEXT(disk_.open_read(path), image.name.text()), image, path);
}

Result<void> Installer::check_software(const OrderRecord& order, const Record& record) {
  const ImageProgress& image = order.images.front();
  const std::string path = layout_.absolute(software_path(order, record));
  return check_image(*TRY(open_software(disk_, path, image.length)), image, path);
}

Result<void> Installer::renew(const OrderRecord& order, Record& record) {
  LAYBY_ASSERT(order.action == OrderAction::kLicence);
  const auto id = TRY(licences_.keep_for_installed(order.licence, record));
  FunctionRecord& function = record.functions.at(id);
  function.proven_counter = function.newest.counter;
  return {};
}

Result<Installer::Runs> Installer::function_runs(const OrderRecord& order,
                                                 const Record& record) const {
  const auto opened = TRY(licences_.open_for_installed(order.licence, record));
  if (!record.slots.contains(manifest::Slot::function(opened.function)))
    return fail(ErrorCode::kNotFound, "{} is not installed yet", opened.function.text());
  return record.functions.at(opened.function).on ? Runs::kYes : Runs::kNo;
}

Result<void> Installer::keep_licence(const OrderRecord& order, Record& record) {
  if (order.action == OrderAction::kInstall)
    return licences_.keep_for_package(order.licence, order.images.front(), record);
  TRY_VOID(licences_.keep_for_installed(order.licence, record));
  return {};
}

// ---- the switch ---------------------------------------------------------------------------------

Result<void> Installer::switch_map_set(std::uint64_t number) {
  const std::string link = layout_.current_set();
  const std::string wanted = "sets/" + std::to_string(number);
  const auto now = disk_.read_symlink(link);
  if (now && *now == wanted) return disk_.sync_dir(layout_.maps());
  TRY_VOID(disk_.remove(link + ".new"));
  TRY_VOID(disk_.symlink(wanted, link + ".new"));
  TRY_VOID(disk_.rename(link + ".new", link));  // the instant (P3.3)
  return disk_.sync_dir(layout_.maps());
}

Result<void> Installer::switch_function(const OrderRecord& order, const Record& record,
                                        UnixSeconds now) {
  if (order.action == OrderAction::kInstall) {
    const ImageProgress& image = order.images.front();
    const auto id = image.function();
    const LicenceVerdict verdict = licences_.judge(id, record, now);
    if (verdict.state != LicenceVerdict::State::kActive)
      return fail(ErrorCode::kLicenceRefused, "{}: the licence is {} {}", id.text(),
                  to_string(verdict.state), verdict.reason);
    return vehicle_.activate_function(id.text(), layout_.absolute(Layout::package_path(image)),
                                      until_text(verdict.until));
  }
  const auto opened = TRY(licences_.open_for_installed(order.licence, record));
  if (order.action == OrderAction::kDeactivate)
    return vehicle_.deactivate_function(opened.function.text());
  const LicenceVerdict verdict = licences_.judge(opened.function, record, now);
  const auto slot = record.slots.find(manifest::Slot::function(opened.function));
  if (verdict.state != LicenceVerdict::State::kActive || slot == record.slots.end())
    return fail(ErrorCode::kLicenceRefused, "{}: the licence is {} {}", opened.function.text(),
                to_string(verdict.state), verdict.reason);
  TRY_VOID(check_function(opened.function, record));
  return vehicle_.activate_function(opened.function.text(), layout_.absolute(slot->second.path),
                                    until_text(verdict.until));
}

Result<void> Installer::activate(const OrderRecord& order, const Record& record, UnixSeconds now,
                                 const MaySwitch& may_switch) {
  if (order.action != OrderAction::kInstall) return switch_function(order, record, now);
  if (is_for_secondaries(order)) return secondaries_.activate(order, may_switch);
  switch (kind(order)) {
    case ImageKind::kMap: return switch_map_set(record.map_set + 1);
    case ImageKind::kSoftware:
      return vehicle_.boot_software(BootStep::kTrial,
                                    layout_.absolute(software_path(order, record)));
    case ImageKind::kFunction: return switch_function(order, record, now);
  }
  LAYBY_ASSERT(false);
}

Result<Event> Installer::confirm(const OrderRecord& order, Record& record,
                                 const MaySwitch& may_switch) {
  if (order.action != OrderAction::kInstall) {
    const auto opened = TRY(licences_.open_for_installed(order.licence, record));
    const bool on = order.action == OrderAction::kLicence;
    FunctionRecord& function = record.functions.at(opened.function);
    function.on = on;
    if (on) function.proven_counter = function.newest.counter;
    function.told_until = opened.licence->until.value_or(0);
    return on ? Event::kConfirmedOn : Event::kConfirmedOff;
  }
  if (is_for_secondaries(order)) {
    TRY_VOID(keep_ecu_images(order, record, may_switch));
    return Event::kConfirmedOn;
  }
  switch (kind(order)) {
    case ImageKind::kMap:
      TRY_VOID(vehicle_.reload_maps(layout_.set(record.map_set + 1)));
      ++record.map_set;
      for (const ImageProgress& image : order.images)
        record.slots.insert_or_assign(image.slot, slot_record(image, Layout::region_path(image)));
      return Event::kConfirmedOn;
    case ImageKind::kSoftware: {
      const std::string path = software_path(order, record);
      TRY_VOID(vehicle_.check_software(layout_.absolute(path)));
      TRY_VOID(vehicle_.boot_software(BootStep::kKeep, layout_.absolute(path)));
      record.slots.insert_or_assign(manifest::Slot::software(),
                                    slot_record(order.images.front(), path));
      return Event::kConfirmedOn;
    }
    case ImageKind::kFunction: {
      const ImageProgress& image = order.images.front();
      record.slots.insert_or_assign(image.slot, slot_record(image, Layout::package_path(image)));
      FunctionRecord& function = record.functions.at(image.function());
      function.on = true;
      function.proven_counter = function.newest.counter;
      function.told_until = licences_.judge(image.function(), record, /*now=*/0).until.value_or(0);
      return Event::kConfirmedOn;
    }
  }
  LAYBY_ASSERT(false);
}

Result<void> Installer::roll_back(const OrderRecord& order, const Record& record, UnixSeconds now,
                                  const MaySwitch& may_switch) {
  if (order.action != OrderAction::kInstall) return {};  // the car still does what it did
  if (is_for_secondaries(order)) return secondaries_.revert(order, may_switch);
  switch (kind(order)) {
    case ImageKind::kMap:
      TRY_VOID(switch_map_set(record.map_set));
      return vehicle_.reload_maps(layout_.set(record.map_set));
    case ImageKind::kSoftware:
      return vehicle_.boot_software(BootStep::kRevert,
                                    layout_.absolute(Layout::live_software_path(record)));
    case ImageKind::kFunction: {
      const auto id = order.images.front().function();
      const auto slot = record.slots.find(manifest::Slot::function(id));
      const auto known = record.functions.find(id);
      const bool was_on = known != record.functions.end() && known->second.on;
      if (!was_on || slot == record.slots.end()) return vehicle_.deactivate_function(id.text());
      const LicenceVerdict verdict = licences_.judge(id, record, now);
      return vehicle_.activate_function(id.text(), layout_.absolute(slot->second.path),
                                        until_text(verdict.until));
    }
  }
  LAYBY_ASSERT(false);
}

bool Installer::is_undone(const OrderRecord& order, const Record& record) const {
  if (order.action != OrderAction::kInstall) return true;
  if (is_for_secondaries(order)) return secondaries_.is_undone(order);
  switch (kind(order)) {
    case ImageKind::kMap: {
      const auto live = disk_.read_symlink(layout_.current_set());
      return live && *live == "sets/" + std::to_string(record.map_set);
    }
    case ImageKind::kSoftware: {
      if (order.untried) return true;
      // Where nobody says what is booted, only a revert that succeeds does.
      const auto said = vehicle_.boot_slots();
      if (!said || !*said) return false;
      const std::string live = Layout::live_software_path(record);
      return Layout::software_path((*said)->running) == live &&
             Layout::software_path((*said)->kept) == live &&
             (!(*said)->trial || (*said)->trial_left == 0);
    }
    case ImageKind::kFunction: return true;
  }
  LAYBY_ASSERT(false);
}

Result<void> Installer::check_function(const manifest::FunctionId& id, const Record& record) const {
  const auto slot = record.slots.find(manifest::Slot::function(id));
  if (slot == record.slots.end())
    return fail(ErrorCode::kNotFound, "{} is not installed", id.text());
  const std::string path = layout_.absolute(slot->second.path);
  const auto file = TRY(disk_.open_read(path));
  const auto digests = TRY(crypto::hash_all(*file, crypto::Hasher::With::kSha256));
  if (digests.sha256 != slot->second.sha256)
    return fail(ErrorCode::kWrongImage, "{} is not what was installed any more", path);
  return {};
}

// ---- what nobody needs --------------------------------------------------------------------------

Installer::Swept Installer::sweep(const Record& record) {
  Swept swept = Swept::kAll;
  std::set<std::string> needed = {"maps/sets/" + std::to_string(record.map_set)};
  // Never from under a reader's feet, whatever the record says.
  const auto live = disk_.read_symlink(layout_.current_set());
  if (live && *live != "sets/" + std::to_string(record.map_set)) return swept;
  std::set<std::string> on_their_way;  // orders with something in the inbox
  for (const auto& [slot, held] : record.slots) needed.insert(held.path);
  for (const OrderRecord& order : record.orders) {
    if (is_final(order.state)) continue;
    if (!order.images.empty()) on_their_way.insert(order.id.text());
    if (is_past_no_return(order.state))
      needed.insert("maps/sets/" + std::to_string(record.map_set + 1));
    for (const ImageProgress& image : order.images) {
      if (image.slot.kind() == ImageKind::kMap) needed.insert(Layout::region_path(image));
      if (image.slot.kind() == ImageKind::kFunction) needed.insert(Layout::package_path(image));
      if (image.slot.is_secondary()) needed.insert(Layout::ecu_image_path(image));
    }
  }
  for (const std::string folder : {"maps/regions", "maps/sets", "functions", "ecus", "inbox"}) {
    const auto names = disk_.list(layout_.absolute(folder));
    if (!names) {
      if (names.error().code() != ErrorCode::kNotFound) swept = Swept::kSomeStayed;
      continue;  // not made yet
    }
    for (const std::string& name : *names) {
      const bool keep = folder == "inbox" ? on_their_way.contains(name.substr(0, name.find('.')))
                                          : needed.contains(folder + "/" + name);
      if (!keep && !disk_.remove_tree(layout_.absolute(folder + "/" + name)))
        swept = Swept::kSomeStayed;
    }
  }
  return swept;
}

}  // namespace layby::agent
