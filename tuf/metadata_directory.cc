#include "tuf/metadata_directory.h"

#include "base/limits.h"
#include "manifest/metadata_checks.h"
#include "manifest/url_names.h"
#include "tuf/directory_lock.h"

namespace layby::tuf {

using manifest::Role;

std::string MetadataDirectory::path_of(Role role) const {
  return path_ + "/" + std::string(manifest::to_string(role)) + ".json";
}

Result<std::string> MetadataDirectory::path_of(const manifest::StoredChange& change) const {
  if (change.delegated.empty()) return path_of(change.role);
  return path_ + "/" + TRY(manifest::delegated_file_name(change.delegated));
}

Result<void> MetadataDirectory::initialize(const std::string& root_path) {
  const Bytes root = TRY_CONTEXT(read_file(disk_, root_path, kRootBytesMax), root_path);
  TRY_CONTEXT(manifest::TrustedRepository::load({root, {}, {}, {}}), root_path);
  TRY_VOID(disk_.make_dirs(path_));
  const DirectoryLock lock = TRY(DirectoryLock::take(path_));
  return replace_file(disk_, path_of(Role::kRoot), root);
}

Result<manifest::StoredRoles> MetadataDirectory::load() {
  manifest::StoredRoles stored;
  auto root = read_file(disk_, path_of(Role::kRoot), kRootBytesMax);
  if (!root) return fail(std::move(root.error()).with_context("no trusted root, use init first"));
  stored.root = std::move(*root);
  const auto take = [&](Role role, std::uint64_t bytes_max, std::optional<Bytes>& place) {
    if (auto bytes = read_file(disk_, path_of(role), bytes_max)) place = std::move(*bytes);
  };
  take(Role::kTimestamp, kTimestampBytesMax, stored.timestamp);
  take(Role::kSnapshot, manifest::kGivenLengthMax, stored.snapshot);
  take(Role::kTargets, manifest::kGivenLengthMax, stored.targets);
  return stored;
}

std::optional<Bytes> MetadataDirectory::delegated(const std::string& role) {
  const auto name = manifest::delegated_file_name(role);
  if (!name) return std::nullopt;
  auto bytes = read_file(disk_, path_ + "/" + *name, manifest::kGivenLengthMax);
  if (!bytes) return std::nullopt;
  return std::move(*bytes);
}

Result<void> MetadataDirectory::apply(const std::vector<manifest::StoredChange>& changes) {
  for (const manifest::StoredChange& change : changes) {
    const std::string path = TRY(path_of(change));
    if (change.bytes) {
      TRY_VOID(replace_file(disk_, path, *change.bytes));
    } else {
      TRY_VOID(disk_.remove(path));
      TRY_VOID(disk_.sync_dir(path_));
    }
  }
  return {};
}

}  // namespace layby::tuf
