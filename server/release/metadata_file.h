// Names of metadata files as clients ask for them: "timestamp.json", "7.root.json".
#pragma once

#include <optional>
#include <string_view>

#include "manifest/metadata.h"

namespace layby::server {

struct MetadataFile {
  manifest::Role role;
  manifest::Version version = 0;  // 0 for the timestamp, which has none
};

// Nothing for any other name; "07.root.json" is another name.
std::optional<MetadataFile> parse_metadata_file(std::string_view name);

}  // namespace layby::server
