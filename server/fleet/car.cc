#include "server/fleet/car.h"

#include <algorithm>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

template <std::size_t N>
Result<std::array<std::uint8_t, N>> key_field(const Json& object, std::string_view name) {
  return manifest::text_field(object, name).and_then(array_from_hex<N>);
}

Result<CarEcu> decode_ecu(const Json& json) {
  auto serial = TRY(manifest::text_field(json, "serial").and_then(manifest::EcuSerial::parse));
  auto hardware_id =
      TRY(manifest::text_field(json, "hardware_id").and_then(manifest::HardwareId::parse));
  CarEcu ecu{.serial = std::move(serial),
             .hardware_id = std::move(hardware_id),
             .public_key = std::nullopt};
  if (manifest::find_field(json, "public_key"))
    ecu.public_key = TRY((key_field<32>(json, "public_key")));
  if (manifest::find_field(json, "counter"))
    ecu.counter = TRY(manifest::uint_field(json, "counter"));
  if (manifest::find_field(json, "since")) ecu.since = TRY(manifest::time_field(json, "since"));
  return ecu;
}

Result<Pairing> decode_pairing(const Json& json) {
  auto owner = TRY(manifest::text_field(json, "owner"));
  auto owned_since = TRY(manifest::time_field(json, "owned_since"));
  auto owned_from = TRY(manifest::uint_field(json, "owned_from"));
  auto primary = TRY(manifest::text_field(json, "primary").and_then(manifest::EcuSerial::parse));
  auto certificate = TRY(manifest::digest_field(json, "certificate"));
  auto seal_key = TRY((key_field<32>(json, "seal_key")));
  auto paired_at = TRY(manifest::time_field(json, "paired_at"));
  Pairing pairing{.owner = std::move(owner),
                  .owned_since = owned_since,
                  .owned_from = owned_from,
                  .primary = std::move(primary),
                  .certificate = std::move(certificate),
                  .seal_key = std::move(seal_key),
                  .paired_at = std::move(paired_at)};
  if (manifest::find_field(json, "next_certificate"))
    pairing.next_certificate = TRY(manifest::digest_field(json, "next_certificate"));
  if (manifest::find_field(json, "poll_seconds"))
    pairing.poll_seconds =
        static_cast<UnixSeconds>(TRY(manifest::uint_field(json, "poll_seconds")));
  if (manifest::find_field(json, "revoked_at"))
    pairing.revoked_at = TRY(manifest::time_field(json, "revoked_at"));
  return pairing;
}

Json encode_pairing(const Pairing& pairing) {
  Json json{{"owner", pairing.owner},
            {"owned_since", format_utc(pairing.owned_since)},
            {"owned_from", pairing.owned_from},
            {"primary", pairing.primary.text()},
            {"certificate", to_hex(pairing.certificate)},
            {"seal_key", to_hex(pairing.seal_key)},
            {"paired_at", format_utc(pairing.paired_at)}};
  if (pairing.next_certificate) json["next_certificate"] = to_hex(*pairing.next_certificate);
  if (pairing.poll_seconds != 0) json["poll_seconds"] = pairing.poll_seconds;
  if (pairing.revoked_at) json["revoked_at"] = format_utc(*pairing.revoked_at);
  return json;
}

Result<Car> decode_loaded(std::optional<std::string> text, const manifest::Vin& vin) {
  if (!text) return fail(ErrorCode::kNotFound, "no car {}", vin.text());
  return decode_car(*text);
}

}  // namespace

std::vector<const CarEcu*> Car::ecus_of(const manifest::Slot& slot) const {
  std::vector<const CarEcu*> found;
  for (const CarEcu& ecu : ecus) {
    const bool is_primary = pairing && pairing->primary == ecu.serial;
    const bool fits = slot.is_secondary() ? !is_primary && ecu.hardware_id.text() == slot.id()
                                          : !pairing || is_primary;
    if (fits) found.push_back(&ecu);
  }
  return found;
}

std::string car_prefix(const manifest::Vin& vin) {
  return "v/" + vin.text() + "/";
}

std::string car_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "car";
}

std::string car_user_key(const manifest::Vin& vin, std::string_view account) {
  return car_prefix(vin) + "user/" + std::string(account);
}

std::string account_cars_prefix(std::string_view account) {
  return fmt::format("ac/{}/", account);
}

std::string account_car_key(std::string_view account, const manifest::Vin& vin) {
  return account_cars_prefix(account) + vin.text();
}

std::string encode_car(const Car& car) {
  Json ecus = Json::array();
  for (const CarEcu& ecu : car.ecus) {
    Json entry{{"serial", ecu.serial.text()}, {"hardware_id", ecu.hardware_id.text()}};
    if (ecu.public_key) entry["public_key"] = to_hex(*ecu.public_key);
    if (ecu.counter != 0) entry["counter"] = ecu.counter;
    if (ecu.since != 0) entry["since"] = format_utc(ecu.since);
    ecus.push_back(std::move(entry));
  }
  Json json{{"vin", car.vin.text()},        {"model", car.model},
            {"model_year", car.model_year}, {"country", car.country},
            {"time_zone", car.time_zone},   {"hardware", car.hardware},
            {"ecus", std::move(ecus)},      {"registered_at", format_utc(car.registered_at)}};
  if (car.pairing) json["pairing"] = encode_pairing(*car.pairing);
  return to_stored(json);
}

Result<Car> decode_car(std::string_view text) {
  const Json json = TRY(parse_stored("car", text));
  auto vin = TRY(manifest::text_field(json, "vin").and_then(manifest::Vin::parse));
  auto model = TRY(manifest::text_field(json, "model"));
  auto model_year = TRY(manifest::uint_field(json, "model_year"));
  auto country = TRY(manifest::text_field(json, "country"));
  auto time_zone = TRY(manifest::text_field(json, "time_zone"));
  auto hardware = TRY(texts_field(json, "hardware", 1000));
  auto registered_at = TRY(manifest::time_field(json, "registered_at"));
  Car car{.vin = std::move(vin),
          .model = std::move(model),
          .model_year = std::move(model_year),
          .country = std::move(country),
          .time_zone = std::move(time_zone),
          .hardware = std::move(hardware),
          .ecus = {},
          .registered_at = std::move(registered_at),
          .pairing = std::nullopt};
  for (const Json& ecu : *TRY(manifest::array_field(json, "ecus")))
    car.ecus.push_back(TRY(decode_ecu(ecu)));
  if (const Json* pairing = manifest::find_field(json, "pairing"))
    car.pairing = TRY(decode_pairing(*pairing));
  return car;
}

Result<Car> load_car(const Store& store, const manifest::Vin& vin) {
  return decode_loaded(TRY(store.get(car_key(vin))), vin);
}

Result<Car> load_car(Change& change, const manifest::Vin& vin) {
  return decode_loaded(TRY(change.get(car_key(vin))), vin);
}

void save_car(Change& change, const Car& car) {
  change.put(car_key(car.vin), encode_car(car));
}

}  // namespace layby::server
