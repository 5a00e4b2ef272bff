#include "agent/delegated_files.h"

#include "base/limits.h"
#include "manifest/target_search.h"
#include "manifest/url_names.h"

namespace layby::agent {

std::optional<Bytes> DelegatedFiles::read(const std::string& role) const {
  const auto name = manifest::delegated_file_name(role);
  if (!name) return std::nullopt;
  auto bytes = read_file(*disk_, directory_ + "/" + *name, kTargetsBytesMax);
  if (!bytes) return std::nullopt;
  return std::move(*bytes);
}

void DelegatedFiles::write(const std::string& role, ByteSpan bytes) const {
  const auto name = manifest::delegated_file_name(role);
  if (name && disk_->make_dirs(directory_))
    static_cast<void>(replace_file(*disk_, directory_ + "/" + *name, bytes));
}

void DelegatedFiles::keep_only(const std::set<std::string>& roles) const {
  std::set<std::string> kept;
  for (const std::string& role : roles)
    if (auto name = manifest::delegated_file_name(role)) kept.insert(std::move(*name));
  const auto there = disk_->list(directory_);
  if (!there) return;
  bool is_changed = false;
  for (const std::string& name : *there)
    if (!kept.contains(name)) is_changed |= disk_->remove(directory_ + "/" + name).has_value();
  if (is_changed) static_cast<void>(disk_->sync_dir(directory_));  // else they come back, and go
}

void DelegatedFiles::keep_within_bounds(const std::set<std::string>& roles) const {
  const auto there = disk_->list(directory_);
  if (!there) return;
  std::uint64_t bytes = 0;
  for (const std::string& name : *there)
    if (const auto status = disk_->status(directory_ + "/" + name)) bytes += status->size;
  if (there->size() > manifest::kDelegatedRolesMax || bytes > manifest::kDelegatedBytesMax)
    keep_only(roles);
}

Result<void> DelegatedFiles::check_name(const std::string& role) {
  if (manifest::delegated_file_name(role)) return {};
  return fail(ErrorCode::kBadFormat, "a delegated role's name of {} bytes is too long",
              role.size());
}

}  // namespace layby::agent
