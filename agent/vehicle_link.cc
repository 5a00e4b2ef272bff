#include "agent/vehicle_link.h"

#include "agent/record.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;

constexpr std::uint64_t kLinkBytesMax = 8 * kKiB;

std::string path_of(const Layout& layout) {
  return layout.absolute("vehicle.json");
}

Result<UnixSeconds> optional_time(const Json& json, std::string_view name) {
  if (manifest::find_field(json, name) == nullptr) return 0;
  return parse_utc(TRY(manifest::text_field(json, name)));
}

}  // namespace

Result<void> write_vehicle_link(Disk& disk, const Layout& layout, const VehicleLink& link) {
  Json json = {{"connected", link.is_connected}};
  if (!link.error.empty())
    json["error"] = recordable(Error(ErrorCode::kUnavailable, link.error)).message();
  if (link.since != 0) json["since"] = format_utc(link.since);
  if (link.next_try != 0) json["nextTry"] = format_utc(link.next_try);
  return replace_file(disk, path_of(layout), as_bytes(TRY(manifest::to_wire(json))));
}

Result<VehicleLink> read_vehicle_link(Disk& disk, const Layout& layout) {
  const Bytes bytes = TRY(read_file(disk, path_of(layout), kLinkBytesMax));
  const Json json = TRY(manifest::parse_strict(bytes, {.bytes_max = kLinkBytesMax}));
  VehicleLink link;
  link.is_connected = TRY(manifest::bool_field(json, "connected"));
  if (manifest::find_field(json, "error") != nullptr)
    link.error = TRY(manifest::text_field(json, "error"));
  link.since = TRY(optional_time(json, "since"));
  link.next_try = TRY(optional_time(json, "nextTry"));
  return link;
}

}  // namespace layby::agent
