#include "server/release/metadata_file.h"

#include <charconv>

#include "manifest/metadata_json.h"
#include "manifest/names.h"

namespace layby::server {

std::optional<MetadataFile> parse_metadata_file(std::string_view name) {
  if (name == "timestamp.json") return MetadataFile{.role = manifest::Role::kTimestamp};
  manifest::Version version = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), version);
  if (error != std::errc{} || version == 0) return std::nullopt;
  for (const manifest::Role role :
       {manifest::Role::kRoot, manifest::Role::kSnapshot, manifest::Role::kTargets}) {
    if (manifest::metadata_file_name(role, version, true) == name)
      return MetadataFile{.role = role, .version = version};
  }
  return std::nullopt;
}

std::optional<DelegatedFile> parse_delegated_file(std::string_view name) {
  constexpr std::string_view kEnd = ".json";
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos || !name.ends_with(kEnd) || name.size() < dot + 1 + kEnd.size())
    return std::nullopt;
  DelegatedFile file;
  const auto [end, error] = std::from_chars(name.data(), name.data() + dot, file.version);
  if (error != std::errc{} || file.version == 0) return std::nullopt;
  const auto role = manifest::parse_plain_name(
      name.substr(dot + 1, name.size() - dot - 1 - kEnd.size()), "delegated role");
  if (!role || name != fmt::format("{}.{}.json", file.version, *role)) return std::nullopt;
  for (const manifest::Role top : manifest::kRoles)
    if (*role == manifest::to_string(top)) return std::nullopt;
  file.role = *role;
  return file;
}

}  // namespace layby::server
