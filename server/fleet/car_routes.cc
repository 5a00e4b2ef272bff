#include "server/fleet/car_routes.h"

#include <set>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/check_in.h"
#include "server/fleet/consent.h"
#include "server/fleet/ecu_replacement.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"
#include "server/fleet/stolen.h"
#include "server/fleet/vehicle_state.h"
#include "server/shop/local_time.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::size_t kTextBytesMax = 100;
constexpr std::size_t kHardwareMax = 200;
constexpr std::size_t kEcusMax = 64;
constexpr std::uint64_t kModelYearMin = 1980;  // the VIN's model year code begins here
constexpr std::uint64_t kModelYearMax = 2200;

Result<std::string> read_country(const Json& body) {
  std::string country = TRY(manifest::text_field(body, "country"));
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (country.size() != 2 || !is_capital(country[0]) || !is_capital(country[1]))
    return fail(ErrorCode::kBadFormat, "\"country\": two capital letters of ISO 3166-1");
  return country;
}

// Where none is given, the first that the zone database lists for the country.
Result<std::string> read_time_zone(const Json& body, const std::string& country) {
  if (manifest::find_field(body, "time_zone") != nullptr)
    return TRY(manifest::text_field(body, "time_zone").and_then(TimeZone::find)).name();
  const Result<TimeZone> zone = TimeZone::of_country(country);
  if (!zone)
    return fail(ErrorCode::kInvalidArgument, "\"time_zone\" is needed: {}", zone.error().message());
  return zone->name();
}

Result<std::vector<CarEcu>> read_ecus(const Json& body) {
  const Json& list = *TRY(manifest::array_field(body, "ecus"));
  if (list.empty() || list.size() > kEcusMax)
    return fail(ErrorCode::kBadFormat, "\"ecus\": 1 to {} of them", kEcusMax);
  std::vector<CarEcu> ecus;
  std::set<std::string> serials;
  for (const Json& entry : list) {
    if (!entry.is_object()) return fail(ErrorCode::kBadFormat, "\"ecus\": objects");
    TRY_VOID(check_fields(entry, {"serial", "hardware_id"}));
    auto serial = TRY(manifest::text_field(entry, "serial").and_then(manifest::EcuSerial::parse));
    auto hardware_id =
        TRY(manifest::text_field(entry, "hardware_id").and_then(manifest::HardwareId::parse));
    ecus.push_back({.serial = std::move(serial),
                    .hardware_id = std::move(hardware_id),
                    .public_key = std::nullopt});
    if (!serials.insert(ecus.back().serial.text()).second)
      return fail(ErrorCode::kBadFormat, "ECU {} is named twice", ecus.back().serial.text());
  }
  return ecus;
}

Result<Car> read_car(const Request& request, UnixSeconds now) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(
      body, {"vin", "model", "model_year", "country", "time_zone", "hardware", "ecus"}));
  const std::string country = TRY(read_country(body));
  const std::string vin = TRY(manifest::text_field(body, "vin"));
  auto checked_vin = TRY(manifest::Vin::parse_for_market(vin, country));
  auto model = TRY(manifest::text_field(body, "model"));
  auto model_year = TRY(manifest::uint_field(body, "model_year", kModelYearMax));
  auto time_zone = TRY(read_time_zone(body, country));
  auto hardware = TRY(texts_field(body, "hardware", kHardwareMax));
  auto ecus = TRY(read_ecus(body));
  Car car{.vin = std::move(checked_vin),
          .model = std::move(model),
          .model_year = std::move(model_year),
          .country = country,
          .time_zone = std::move(time_zone),
          .hardware = std::move(hardware),
          .ecus = std::move(ecus),
          .registered_at = now,
          .pairing = std::nullopt};
  if (car.model.empty() || car.model.size() > kTextBytesMax)
    return fail(ErrorCode::kBadFormat, "\"model\": 1 to {} bytes", kTextBytesMax);
  if (car.model_year < kModelYearMin)
    return fail(ErrorCode::kBadFormat, "\"model_year\": {} to {}", kModelYearMin, kModelYearMax);
  return car;
}

// What the ECU says of itself; the primary's part is all that no other ECU says.
void add_report(Json& json, const Car& car, const CarEcu& ecu, const VehicleState& state) {
  if (const auto silent = state.silent.find(ecu.serial); silent != state.silent.end())
    json["silent"] = silent_json(silent->second);
  std::map<manifest::Slot, manifest::InstalledImage> installed;
  if (car.pairing && car.pairing->primary == ecu.serial) {
    installed = state.installed;
    std::erase_if(installed, [](const auto& entry) { return entry.first.is_secondary(); });
    json["report"] = {{"time", format_utc(state.time)}, {"agent", state.agent}};
  } else if (const auto said = state.secondaries.find(ecu.serial);
             said != state.secondaries.end()) {
    if (said->second.installed)
      installed.emplace(manifest::Slot::software(ecu.hardware_id), *said->second.installed);
    json["report"] = {{"time", format_utc(said->second.time)},
                      {"agent", said->second.agent},
                      {"attack", said->second.attack}};
  } else {
    return;
  }
  json["installed"] = installed_json(installed);
}

Json ecus_json(const Car& car, const VehicleState* state,
               const std::vector<EcuReplacement>& replacements) {
  Json ecus = Json::array();
  for (const CarEcu& ecu : car.ecus) {
    Json json{{"serial", ecu.serial.text()}, {"hardware_id", ecu.hardware_id.text()}};
    if (state != nullptr) add_report(json, car, ecu, *state);
    for (const EcuReplacement& each : replacements)
      if (each.old_serial == ecu.serial)
        json["replacement"] = {{"serial", each.serial.text()},
                               {"hardware_id", each.hardware_id.text()},
                               {"expires", format_utc(each.expires)}};
    ecus.push_back(std::move(json));
  }
  return ecus;
}

// For those who answer for the car: whether it comes in, and what it said that was not believed.
Result<void> add_watch(const Services& services, const manifest::Vin& vin, Json& json) {
  if (services.check_ins != nullptr) {
    if (const auto seen = TRY(services.check_ins->load(services.store, vin))) {
      json["check_in"] = {{"last_heard", format_utc(seen->last_heard)}};
      if (seen->silent_since) json["check_in"]["silent_since"] = format_utc(*seen->silent_since);
    }
  }
  if (Json refused = TRY(refused_json(services.store, vin)); !refused.is_null())
    json["refused"] = std::move(refused);
  return {};
}

Json car_json(const Car& car, Standing standing) {
  Json ecus = ecus_json(car, nullptr, {});
  Json json{{"vin", car.vin.text()},
            {"model", car.model},
            {"model_year", car.model_year},
            {"country", car.country},
            {"time_zone", car.time_zone},
            {"hardware", car.hardware},
            {"ecus", std::move(ecus)},
            {"registered", format_utc(car.registered_at)},
            {"paired", car.pairing.has_value()}};
  if (car.pairing) {
    json["paired_at"] = format_utc(car.pairing->paired_at);
    json["primary"] = car.pairing->primary.text();
    if (standing != Standing::kSecondary && !car.pairing->owner.empty()) {
      json["owner"] = car.pairing->owner;
      json["owned_since"] = format_utc(car.pairing->owned_since);
    }
    if (car.pairing->revoked_at) json["certificate_revoked"] = format_utc(*car.pairing->revoked_at);
  }
  return json;
}

}  // namespace

Response post_car(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_role(services, request, Role::kOperator));
    const Car car = TRY(read_car(request, services.clock.now()));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      if (TRY(change.get(car_key(car.vin))))
        return fail(ErrorCode::kAlreadyExists, "car {} is registered", car.vin.text());
      save_car(change, car);
      CarAffairs affairs = TRY(CarAffairs::begin(services, change, car.vin, caller.account));
      const Json json = car_json(car, Standing::kOperator);
      affairs.record("registered", "", json);
      return json_response(201, json);
    });
  }());
}

Response get_car(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    Json json = car_json(access.car, access.standing);
    const std::optional<VehicleState> state =
        TRY(load_vehicle_state(services.store, access.car.vin));
    const auto replacements =
        TRY(load_replacements(services.store, access.car.vin, services.clock.now()));
    json["ecus"] = ecus_json(access.car, state ? &*state : nullptr, replacements);
    json["installed"] = state ? installed_json(*state) : Json::object();
    json["functions"] = state ? functions_json(*state) : Json::object();
    if (state) {
      json["report"] = {{"counter", state->acknowledged},
                        {"received", format_utc(state->received)},
                        {"time", format_utc(state->time)},
                        {"agent", state->agent},
                        {"attack", state->attack}};
    }
    json["stolen"] = TRY(load_stolen(services.store, access.car.vin)).has_value();
    if (access.standing != Standing::kSecondary) {
      TRY_VOID(add_watch(services, access.car.vin, json));
      const std::optional<Consent> consent =
          TRY(load_software_consent(services.store, access.car.vin));
      json["consents"] = {{"software-updates", consent_json(consent)}};
    }
    return json_response(200, json);
  }());
}

Response get_own_cars(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_account(services, request));
    const Page page = TRY(read_page(request));
    const std::string prefix = account_cars_prefix(caller.account);
    const std::string begin = page.after.empty() ? prefix : prefix + page.after + '\0';
    Json cars = Json::array();
    for (const KeyValue& entry :
         TRY(services.store.scan(begin, after_prefix(prefix), page.limit))) {
      const Json stored = TRY(parse_stored(entry.key, entry.value));
      auto as = TRY(manifest::text_field(stored, "as"));
      cars.push_back({{"vin", entry.key.substr(prefix.size())}, {"as", std::move(as)}});
    }
    return json_response(200, {{"cars", std::move(cars)}});
  }());
}

}  // namespace layby::server
