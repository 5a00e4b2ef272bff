#include "server/release/metadata_file.h"

#include <charconv>

#include "manifest/metadata_json.h"

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

}  // namespace layby::server
