#include "server/fleet/ecu_replacement.h"

#include <algorithm>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/deadline.h"
#include "server/fleet/ecu_keys.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/named_ecus.h"
#include "server/fleet/vehicle_state.h"

namespace layby::server {

using manifest::Json;

namespace {

std::string replacements_prefix(const manifest::Vin& vin) {
  return car_prefix(vin) + "ecu-replacement/";
}

std::string replacement_key(const manifest::Vin& vin, const manifest::EcuSerial& old_serial) {
  return replacements_prefix(vin) + old_serial.text();
}

std::string refused_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "refused";
}

// Tells it from others that expire in the same second.
std::string forget_id(const manifest::Vin& vin, const manifest::EcuSerial& old_serial) {
  return vin.text() + "." + old_serial.text();
}

Json replacement_json(const EcuReplacement& replacement) {
  return {{"ecu", replacement.old_serial.text()},
          {"serial", replacement.serial.text()},
          {"hardware_id", replacement.hardware_id.text()},
          {"by", replacement.by},
          {"expires", format_utc(replacement.expires)}};
}

Result<EcuReplacement> decode(std::string_view key, std::string_view text) {
  const Json json = TRY(parse_stored(key, text));
  auto old_serial = TRY(manifest::text_field(json, "ecu").and_then(manifest::EcuSerial::parse));
  auto serial = TRY(manifest::text_field(json, "serial").and_then(manifest::EcuSerial::parse));
  auto hardware_id =
      TRY(manifest::text_field(json, "hardware_id").and_then(manifest::HardwareId::parse));
  auto by = TRY(manifest::text_field(json, "by"));
  const UnixSeconds expires = TRY(manifest::time_field(json, "expires"));
  return EcuReplacement{.old_serial = std::move(old_serial),
                        .serial = std::move(serial),
                        .hardware_id = std::move(hardware_id),
                        .by = std::move(by),
                        .expires = expires};
}

// From a change or a store.
template <typename From>
Result<std::vector<EcuReplacement>> load_from(From& from, const manifest::Vin& vin,
                                              UnixSeconds now) {
  const std::string prefix = replacements_prefix(vin);
  std::vector<EcuReplacement> found;
  for (const KeyValue& entry : TRY(from.scan(prefix, after_prefix(prefix), kPairedEcusMax))) {
    EcuReplacement replacement = TRY(decode(entry.key, entry.value));
    if (now < replacement.expires) found.push_back(std::move(replacement));
  }
  return found;
}

// With the entry by which it would be forgotten.
void erase(Change& change, const manifest::Vin& vin, const EcuReplacement& replacement) {
  change.erase(replacement_key(vin, replacement.old_serial));
  change.erase(deadline_key({.at = replacement.expires,
                             .kind = DeadlineKind::kForget,
                             .subject = "-",
                             .id = forget_id(vin, replacement.old_serial)}));
}

Result<CarAccess> access_as_workshop(const Services& services, const Request& request) {
  CarAccess access = TRY(access_car(services, request));
  if (access.standing == Standing::kPartner || access.standing == Standing::kOperator)
    return access;
  return fail(ErrorCode::kForbidden, "a part is exchanged in a workshop: only for partners");
}

struct WantedReplacement {
  manifest::EcuSerial serial;
  std::optional<manifest::HardwareId> hardware_id;
};

Result<WantedReplacement> read_wanted(const Request& request) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"serial", "hardware_id"}));
  auto serial = TRY(manifest::text_field(body, "serial").and_then(manifest::EcuSerial::parse));
  WantedReplacement wanted{.serial = std::move(serial), .hardware_id = {}};
  if (manifest::find_field(body, "hardware_id"))
    wanted.hardware_id =
        TRY(manifest::text_field(body, "hardware_id").and_then(manifest::HardwareId::parse));
  return wanted;
}

Result<EcuReplacement> authorise(CarAffairs& affairs, const std::string& old_text,
                                 const WantedReplacement& wanted) {
  Change& change = affairs.change();
  const Car& car = affairs.car();
  const auto old_serial = TRY(manifest::EcuSerial::parse(old_text));
  const CarEcu* old_ecu = find_ecu(car.ecus, old_serial);
  if (old_ecu == nullptr)
    return fail(ErrorCode::kNotFound, "the car has no ECU {}", old_serial.text());
  if (wanted.serial != old_serial && find_ecu(car.ecus, wanted.serial) != nullptr)
    return fail(ErrorCode::kConflict, "{} is another ECU of the car", wanted.serial.text());
  // Also those that have expired and are not forgotten yet: the entry by which one is forgotten
  // would take the next one with it.
  for (const EcuReplacement& other : TRY(load_from(change, car.vin, 0))) {
    if (other.old_serial == old_serial)
      erase(change, car.vin, other);
    else if (other.serial == wanted.serial && affairs.now() < other.expires)
      return fail(ErrorCode::kConflict, "{} is to replace {}", wanted.serial.text(),
                  other.old_serial.text());
  }
  EcuReplacement replacement{.old_serial = old_serial,
                             .serial = wanted.serial,
                             .hardware_id = wanted.hardware_id.value_or(old_ecu->hardware_id),
                             .by = affairs.who(),
                             .expires = affairs.now() + kReplacementSeconds};
  const std::string key = replacement_key(car.vin, old_serial);
  const Json json = replacement_json(replacement);
  change.put(key, to_stored(json));
  forget_at(change, replacement.expires, forget_id(car.vin, old_serial), key);
  affairs.record("ecu-replacement-authorised", "", json);
  return replacement;
}

Answer<Response> take_ecus(CarAffairs& affairs, const NamedEcus& named) {
  Car& car = affairs.car();
  if (!car.pairing) return fail(ErrorCode::kForbidden, "the car is not paired");
  const manifest::EcuSerial primary = car.pairing->primary;
  auto done = TRY(done_replacements(affairs.change(), car, named.ecus, affairs.now()));
  std::erase_if(done, [&](const auto& each) { return each.old_serial == primary; });
  const Car next = with_replacements(car, done);
  std::vector<Reason> reasons = compare_ecus(next, named.ecus, primary);
  const CarEcu* own = find_ecu(named.ecus, primary);
  if (own != nullptr && own->public_key != find_ecu(car.ecus, primary)->public_key)
    reasons.push_back({"key", "a primary with another key is paired anew"});
  std::vector<CarEcu> ecus;
  if (reasons.empty()) {
    ecus = with_keys(next.ecus, named.ecus);
    reasons = TRY(check_proofs(affairs, ecus, named, primary));
  }
  if (!reasons.empty()) {
    const Error error(ErrorCode::kWrongEcu, reasons.front().text);
    TRY_VOID(note_refused(affairs, "ecus-refused", error));
    // It is committed that it was refused.
    return to_response(
        refuse(RefusalCode::kWrongEcus, "not the ECUs of this car", std::move(reasons)));
  }
  Json replaced = Json::array();
  for (const EcuReplacement& each : done)
    replaced.push_back({{"ecu", each.old_serial.text()}, {"serial", each.serial.text()}});
  if (!done.empty()) {
    TRY_VOID(change_keys(affairs, std::move(ecus)));
    save_car(affairs.change(), car);
    TRY_VOID(conclude_replacements(affairs, done));
  }
  return json_response(200, {{"replaced", std::move(replaced)}});
}

}  // namespace

Result<std::vector<EcuReplacement>> load_replacements(const Store& store, const manifest::Vin& vin,
                                                      UnixSeconds now) {
  return load_from(store, vin, now);
}

Result<std::vector<EcuReplacement>> done_replacements(Change& change, const Car& car,
                                                      const std::vector<CarEcu>& named,
                                                      UnixSeconds now) {
  std::vector<EcuReplacement> done = TRY(load_from(change, car.vin, now));
  std::erase_if(done, [&](const EcuReplacement& each) {
    const CarEcu* before = find_ecu(car.ecus, each.old_serial);
    const CarEcu* now_there = find_ecu(named, each.serial);
    if (before == nullptr || now_there == nullptr) return true;
    if (now_there->hardware_id != each.hardware_id) return true;
    return each.serial == each.old_serial ? now_there->public_key == before->public_key
                                          : find_ecu(named, each.old_serial) != nullptr;
  });
  return done;
}

Car with_replacements(Car car, const std::vector<EcuReplacement>& done) {
  for (const EcuReplacement& each : done) {
    const auto at = std::ranges::find(car.ecus, each.old_serial, &CarEcu::serial);
    *at = {.serial = each.serial, .hardware_id = each.hardware_id, .public_key = std::nullopt};
    if (car.pairing && car.pairing->primary == each.old_serial) car.pairing->primary = each.serial;
  }
  return car;
}

Result<void> conclude_replacements(CarAffairs& affairs, const std::vector<EcuReplacement>& done) {
  if (done.empty()) return {};
  Change& change = affairs.change();
  const manifest::Vin& vin = affairs.car().vin;
  std::optional<VehicleState> state = TRY(load_vehicle_state(change, vin));
  for (const EcuReplacement& each : done) {
    erase(change, vin, each);
    Json data = replacement_json(each);
    data.erase("expires");
    const CarEcu* ecu = find_ecu(affairs.car().ecus, each.serial);
    if (ecu != nullptr && ecu->public_key) data["public_key"] = to_hex(*ecu->public_key);
    affairs.record("ecu-replaced", "", data);
    affairs.tell_owner(Message::kEcuReplaced, "",
                       {{"ecu", each.old_serial.text()}, {"serial", each.serial.text()}});
    if (state) state->forget(each.old_serial);
  }
  if (state) save_vehicle_state(change, vin, *state);
  affairs.outdate_metadata();
  return {};
}

namespace {

// What was refused within the last day, each once.
Result<Json> refused_lately(Change& change, const std::string& key, UnixSeconds now) {
  Json lately = Json::array();
  const std::optional<std::string> text = TRY(change.get(key));
  if (!text) return lately;
  const Json last = TRY(parse_stored(key, *text));
  const Json* all = manifest::find_field(last, "lately");
  for (const Json& one : all != nullptr ? *all : Json::array({last})) {
    if (now - TRY(manifest::time_field(one, "at")) >= kDaySeconds) continue;
    const std::string what = TRY(manifest::text_field(one, "what"));
    const std::string error = TRY(manifest::text_field(one, "error"));
    lately.push_back({{"what", what}, {"error", error}, {"at", one["at"]}});
  }
  return lately;
}

}  // namespace

Result<void> note_refused(CarAffairs& affairs, std::string_view what, const Error& error) {
  const std::string key = refused_key(affairs.car().vin);
  const std::string name(to_string(error.code()));
  Json lately = TRY(refused_lately(affairs.change(), key, affairs.now()));
  const bool said = std::ranges::any_of(
      lately, [&](const Json& one) { return one["what"] == what && one["error"] == name; });
  if (said || lately.size() >= kRefusalsADayMax) return {};
  const Json data{{"error", name}, {"text", error.message()}};
  affairs.record(what, "", data);
  Json record = data;
  record["what"] = std::string(what);
  record["at"] = format_utc(affairs.now());
  lately.push_back({{"what", record["what"]}, {"error", name}, {"at", record["at"]}});
  record["lately"] = std::move(lately);
  affairs.change().put(key, to_stored(record));
  return {};
}

Result<Json> refused_json(const Store& store, const manifest::Vin& vin) {
  const std::string key = refused_key(vin);
  const auto text = TRY(store.get(key));
  if (!text) return Json();
  Json refused = TRY(parse_stored(key, *text));
  refused.erase("lately");
  return refused;
}

Response post_ecu_replacement(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_as_workshop(services, request));
    const WantedReplacement wanted = TRY(read_wanted(request));
    Answer<Response> answer =
        commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
          CarAffairs affairs =
              TRY(CarAffairs::begin(services, change, access.car.vin, access.caller.account));
          return json_response(
              201,
              replacement_json(TRY(authorise(affairs, request.path_values.at("serial"), wanted))));
        });
    if (answer) services.wake_sweeper();
    return answer;
  }());
}

Response delete_ecu_replacement(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_as_workshop(services, request));
    const auto old_serial = TRY(manifest::EcuSerial::parse(request.path_values.at("serial")));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      CarAffairs affairs =
          TRY(CarAffairs::begin(services, change, access.car.vin, access.caller.account));
      if (find_ecu(affairs.car().ecus, old_serial) == nullptr)
        return fail(ErrorCode::kNotFound, "the car has no ECU {}", old_serial.text());
      for (const EcuReplacement& each : TRY(load_from(change, access.car.vin, affairs.now()))) {
        if (each.old_serial != old_serial) continue;
        erase(change, access.car.vin, each);
        affairs.record("ecu-replacement-withdrawn", "",
                       {{"ecu", old_serial.text()}, {"serial", each.serial.text()}});
      }
      Response response;
      response.status = 204;
      return response;
    });
  }());
}

Response post_vehicle_ecus(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const manifest::Vin vin = TRY(require_vehicle(services, request));
    const Json body = TRY(json_body(request));
    TRY_VOID(check_fields(body, {"ecus"}));
    const NamedEcus named = TRY(read_named_ecus(body));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, vin.text()));
      return take_ecus(affairs, named);
    });
  }());
}

}  // namespace layby::server
