#include "server/shop/local_time.h"

#include <date/tz.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/assert.h"

namespace layby::server {

namespace {

constexpr const char* kZoneTable = "/usr/share/zoneinfo/zone.tab";
constexpr std::size_t kNameBytesMax = 64;

const date::time_zone* locate(std::string_view name) {
  // The library reports an unknown name by an exception, and would follow a path out of its folder.
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '+';
  };
  if (name.empty() || name.size() > kNameBytesMax || name.front() == '/' ||
      !std::all_of(name.begin(), name.end(), is_plain))
    return nullptr;
  try {
    return date::locate_zone(name);
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}

const date::time_zone& zone_of(const void* zone) {
  return *static_cast<const date::time_zone*>(zone);
}

date::local_seconds wall_time(const date::time_zone& zone, UnixSeconds at) {
  return zone.to_local(date::sys_seconds{std::chrono::seconds{at}});
}

UnixSeconds instant_of(const date::time_zone& zone, date::local_seconds wall) {
  const date::local_info info = zone.get_info(wall);
  // In a gap the second half begins at its end; of a doubled time it is the later one.
  if (info.result == date::local_info::nonexistent)
    return info.second.begin.time_since_epoch().count();
  const auto offset =
      info.result == date::local_info::ambiguous ? info.second.offset : info.first.offset;
  return (wall.time_since_epoch() - offset).count();
}

}  // namespace

TimeZone TimeZone::utc() {
  Result<TimeZone> zone = find("Etc/UTC");
  LAYBY_ASSERT(zone);  // without zone data the server does not run
  return std::move(*zone);
}

Result<TimeZone> TimeZone::find(std::string_view name) {
  const date::time_zone* zone = locate(name);
  if (zone == nullptr)
    return fail(ErrorCode::kInvalidArgument, "\"{}\" is no time zone of the IANA database", name);
  return TimeZone(std::string(name), zone);
}

Result<TimeZone> TimeZone::of_country(std::string_view country) {
  std::ifstream table(kZoneTable);
  if (!table) return fail(ErrorCode::kIo, "{} cannot be read", kZoneTable);
  std::string line;
  while (std::getline(table, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);  // country, coordinates, zone, comment
    std::string code, coordinates, zone;
    fields >> code >> coordinates >> zone;
    if (code == country) return find(zone);
  }
  return fail(ErrorCode::kNotFound, "no time zone is known for the country {}", country);
}

UnixSeconds TimeZone::days_later(UnixSeconds from, std::int64_t days) const {
  const date::time_zone& zone = zone_of(zone_);
  return instant_of(zone, wall_time(zone, from) + date::days{days});
}

UnixSeconds TimeZone::months_later(UnixSeconds anchor, std::int64_t months) const {
  const date::time_zone& zone = zone_of(zone_);
  const date::local_seconds wall = wall_time(zone, anchor);
  const auto midnight = date::floor<date::days>(wall);
  date::year_month_day day = date::year_month_day{midnight} + date::months{months};
  if (!day.ok()) day = day.year() / day.month() / date::last;
  return instant_of(zone, date::local_days{day} + (wall - midnight));
}

}  // namespace layby::server
