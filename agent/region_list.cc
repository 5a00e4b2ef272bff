#include "agent/region_list.h"

#include "manifest/json_value.h"

namespace layby::agent {

using manifest::Json;

Json region_list_json(const std::vector<manifest::RegionId>& regions) {
  Json json = Json::array();
  for (const manifest::RegionId& region : regions) json.push_back(region.text());
  return json;
}

Result<std::vector<manifest::RegionId>> region_list_field(const Json& object, std::string_view key,
                                                          std::size_t count_max) {
  const Json* list = TRY(manifest::array_field(object, key));
  if (list->size() > count_max)
    return fail(ErrorCode::kBadFormat, "\"{}\": at most {} regions", key, count_max);
  std::vector<manifest::RegionId> regions;
  for (const Json& name : *list) {
    if (!name.is_string()) return fail(ErrorCode::kBadFormat, "\"{}\": names of regions", key);
    regions.push_back(TRY(manifest::RegionId::parse(name.get_ref<const std::string&>())));
  }
  return regions;
}

}  // namespace layby::agent
