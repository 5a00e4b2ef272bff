// Names of metadata files as clients ask for them: "timestamp.json", "7.root.json".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "manifest/metadata.h"

namespace layby::server {

struct MetadataFile {
  manifest::Role role;
  manifest::Version version = 0;  // 0 for the timestamp, which has none
};

// Nothing for any other name; "07.root.json" is another name.
std::optional<MetadataFile> parse_metadata_file(std::string_view name);

// Of a delegated role: "3.supplier.json".
struct DelegatedFile {
  std::string role;  // a plain name (manifest/names.h): nothing leads elsewhere
  manifest::Version version = 1;
};

// Nothing for any other name, also for those of the four roles.
std::optional<DelegatedFile> parse_delegated_file(std::string_view name);

}  // namespace layby::server
