#include "server/fleet/stolen.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

Result<std::optional<StolenReport>> decode(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const Json json = TRY(parse_stored("stolen", *text));
  auto who = TRY(manifest::text_field(json, "who"));
  const UnixSeconds at = TRY(manifest::time_field(json, "at"));
  return StolenReport{.who = std::move(who), .at = at};
}

}  // namespace

std::string stolen_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "stolen";
}

Result<std::optional<StolenReport>> load_stolen(Change& change, const manifest::Vin& vin) {
  return decode(TRY(change.get(stolen_key(vin))));
}

Result<std::optional<StolenReport>> load_stolen(const Store& store, const manifest::Vin& vin) {
  return decode(TRY(store.get(stolen_key(vin))));
}

void report_stolen(CarAffairs& affairs) {
  affairs.change().put(stolen_key(affairs.car().vin),
                       to_stored({{"who", affairs.who()}, {"at", format_utc(affairs.now())}}));
  affairs.record("reported-stolen", "", Json::object());
  affairs.tell_owner(Message::kReportedStolen, "");
}

void lift_stolen(CarAffairs& affairs) {
  affairs.change().erase(stolen_key(affairs.car().vin));
  affairs.record("stolen-report-lifted", "", Json::object());
  affairs.tell_owner(Message::kReportLifted, "");
}

}  // namespace layby::server
