// Lists of map regions as JSON: in the journal and in what the server answers.
#pragma once

#include <string_view>
#include <vector>

#include "manifest/json.h"
#include "manifest/names.h"

namespace layby::agent {

manifest::Json region_list_json(const std::vector<manifest::RegionId>& regions);
// kBadFormat: not a list of regions, or of more than `count_max`.
Result<std::vector<manifest::RegionId>> region_list_field(const manifest::Json& object,
                                                          std::string_view key,
                                                          std::size_t count_max);

}  // namespace layby::agent
