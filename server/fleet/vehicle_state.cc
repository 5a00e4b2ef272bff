#include "server/fleet/vehicle_state.h"

#include <algorithm>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

Result<manifest::InstalledImage> decode_installed(const Json& json) {
  auto image = TRY(manifest::text_field(json, "image").and_then(manifest::ImageName::parse));
  auto sha256 = TRY(manifest::digest_field(json, "sha256"));
  auto length = TRY(manifest::uint_field(json, "length"));
  auto release_counter = TRY(manifest::uint_field(json, "releaseCounter"));
  return manifest::InstalledImage{.image = std::move(image),
                                  .sha256 = std::move(sha256),
                                  .length = std::move(length),
                                  .release_counter = std::move(release_counter)};
}

Result<manifest::FunctionReport> decode_function(const Json& json) {
  auto counter = TRY(manifest::uint_field(json, "counter"));
  auto state = TRY(manifest::text_field(json, "state").and_then(manifest::parse_function_state));
  manifest::FunctionReport report{
      .counter = std::move(counter), .state = std::move(state), .until = std::nullopt};
  if (manifest::find_field(json, "until")) report.until = TRY(manifest::time_field(json, "until"));
  return report;
}

Result<SecondaryState> decode_secondary(const Json& json) {
  SecondaryState state;
  state.time = TRY(manifest::time_field(json, "time"));
  state.agent = TRY(manifest::text_field(json, "agent"));
  state.attack = TRY(manifest::text_field(json, "attack"));
  if (const Json* image = manifest::find_field(json, "installed"))
    state.installed = TRY(decode_installed(*image));
  return state;
}

Result<SilentEcu> decode_silent(const Json& json) {
  SilentEcu silent;
  silent.since = TRY(manifest::time_field(json, "since"));
  silent.reason = TRY(manifest::text_field(json, "reason"));
  silent.is_told = TRY(manifest::bool_field(json, "told"));
  return silent;
}

Json installed_json(const manifest::InstalledImage& image) {
  return {{"image", image.image.text()},
          {"sha256", to_hex(image.sha256)},
          {"length", image.length},
          {"releaseCounter", image.release_counter}};
}

// The slot is as far as the last of the ECUs that have it.
void merge_installed(VehicleState& state, const manifest::Slot& slot,
                     const manifest::InstalledImage& image) {
  const auto [at, is_first] = state.installed.emplace(slot, image);
  if (!is_first && image.release_counter < at->second.release_counter) at->second = image;
}

void merge_installed(VehicleState& state, const SecondaryState& said) {
  if (!said.installed) return;
  const auto hardware = manifest::HardwareId::parse(said.installed->image.owner());
  if (hardware) merge_installed(state, manifest::Slot::software(*hardware), *said.installed);
}

// What it said last still stands, its counter above all: no old word of its counts as a new one.
void keep_silent_one(VehicleState& state, const manifest::EcuSerial& serial,
                     const std::string& reason, const std::optional<VehicleState>& last) {
  SilentEcu& silent = state.silent[serial];
  silent = {.since = state.received, .reason = reason};
  if (!last) return;
  if (const auto before = last->silent.find(serial); before != last->silent.end()) {
    silent.since = before->second.since;
    silent.is_told = before->second.is_told;
  }
  if (const auto counter = last->counters.find(serial); counter != last->counters.end())
    state.counters.insert(*counter);
  if (const auto said = last->secondaries.find(serial); said != last->secondaries.end()) {
    state.secondaries.insert(*said);
    merge_installed(state, said->second);
  }
}

Result<std::optional<VehicleState>> decode(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const Json json = TRY(parse_stored("report", *text));
  auto received = TRY(manifest::time_field(json, "received"));
  auto time = TRY(manifest::time_field(json, "time"));
  auto digest = TRY(manifest::digest_field(json, "manifest"));
  auto acknowledged = TRY(manifest::uint_field(json, "acknowledged"));
  auto agent = TRY(manifest::text_field(json, "agent"));
  auto attack = TRY(manifest::text_field(json, "attack"));
  VehicleState state{.received = std::move(received),
                     .time = std::move(time),
                     .manifest = std::move(digest),
                     .acknowledged = std::move(acknowledged),
                     .counters = {},
                     .agent = std::move(agent),
                     .attack = std::move(attack),
                     .installed = {},
                     .functions = {}};
  state.re_encoders = TRY(manifest::re_encoders_field(json, "re_encoders"));
  const Json& counters = *TRY(manifest::object_field(json, "counters"));
  for (const auto& [serial, value] : counters.items()) {
    state.counters.emplace(TRY(manifest::EcuSerial::parse(serial)),
                           TRY(manifest::uint_field(counters, serial)));
  }
  for (const auto& [slot, image] : TRY(manifest::object_field(json, "installed"))->items())
    state.installed.emplace(TRY(manifest::Slot::parse(slot)), TRY(decode_installed(image)));
  if (manifest::find_field(json, "secondaries") != nullptr)
    for (const auto& [serial, said] : TRY(manifest::object_field(json, "secondaries"))->items())
      state.secondaries.emplace(TRY(manifest::EcuSerial::parse(serial)),
                                TRY(decode_secondary(said)));
  if (manifest::find_field(json, "silent") != nullptr)
    for (const auto& [serial, silent] : TRY(manifest::object_field(json, "silent"))->items())
      state.silent.emplace(TRY(manifest::EcuSerial::parse(serial)), TRY(decode_silent(silent)));
  for (const auto& [id, report] : TRY(manifest::object_field(json, "functions"))->items())
    state.functions.emplace(TRY(manifest::FunctionId::parse(id)), TRY(decode_function(report)));
  return state;
}

}  // namespace

bool VehicleState::has_active(const manifest::FunctionId& function) const {
  const auto found = functions.find(function);
  return found != functions.end() && found->second.state == manifest::FunctionState::kActive;
}

bool VehicleState::runs(const manifest::Slot& slot, const crypto::Digest256& image,
                        const Car& car) const {
  const auto found = installed.find(slot);
  if (found == installed.end()) return false;
  if (!slot.is_secondary()) return found->second.sha256 == image;
  bool any = false;
  for (const CarEcu* ecu : car.ecus_of(slot)) {
    const auto said = secondaries.find(ecu->serial);
    if (said == secondaries.end() || !said->second.installed ||
        said->second.installed->sha256 != image)
      return false;
    any = true;
  }
  return any;
}

void VehicleState::forget(const manifest::EcuSerial& serial) {
  counters.erase(serial);
  silent.erase(serial);
  if (secondaries.erase(serial) == 0) return;
  std::erase_if(installed, [](const auto& entry) { return entry.first.is_secondary(); });
  for (const auto& [other, said] : secondaries) merge_installed(*this, said);
}

std::string vehicle_state_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "report";
}

Result<std::optional<VehicleState>> load_vehicle_state(const Store& store,
                                                       const manifest::Vin& vin) {
  return decode(TRY(store.get(vehicle_state_key(vin))));
}

Result<std::optional<VehicleState>> load_vehicle_state(Change& change, const manifest::Vin& vin) {
  return decode(TRY(change.get(vehicle_state_key(vin))));
}

Json installed_json(const VehicleState& state) {
  return installed_json(state.installed);
}

Json installed_json(const std::map<manifest::Slot, manifest::InstalledImage>& installed) {
  Json json = Json::object();
  for (const auto& [slot, image] : installed) json[slot.text()] = installed_json(image);
  return json;
}

Json secondaries_json(const VehicleState& state) {
  Json json = Json::object();
  for (const auto& [serial, said] : state.secondaries) {
    Json entry{{"time", format_utc(said.time)}, {"agent", said.agent}, {"attack", said.attack}};
    if (said.installed) entry["installed"] = installed_json(*said.installed);
    json[serial.text()] = std::move(entry);
  }
  return json;
}

Json silent_json(const SilentEcu& silent) {
  return {{"since", format_utc(silent.since)}, {"reason", silent.reason}};
}

Json functions_json(const VehicleState& state) {
  Json functions = Json::object();
  for (const auto& [id, report] : state.functions) {
    Json entry{{"counter", report.counter}, {"state", std::string(to_string(report.state))}};
    if (report.until) entry["until"] = format_utc(*report.until);
    functions[id.text()] = std::move(entry);
  }
  return functions;
}

void save_vehicle_state(Change& change, const manifest::Vin& vin, const VehicleState& state) {
  Json counters = Json::object();
  for (const auto& [serial, counter] : state.counters) counters[serial.text()] = counter;
  Json json{{"received", format_utc(state.received)},
            {"time", format_utc(state.time)},
            {"manifest", to_hex(state.manifest)},
            {"acknowledged", state.acknowledged},
            {"counters", std::move(counters)},
            {"agent", state.agent},
            {"attack", state.attack},
            {"re_encoders", state.re_encoders},
            {"installed", installed_json(state)},
            {"functions", functions_json(state)}};
  if (!state.secondaries.empty()) json["secondaries"] = secondaries_json(state);
  for (const auto& [serial, silent] : state.silent) {
    json["silent"][serial.text()] = silent_json(silent);
    json["silent"][serial.text()]["told"] = silent.is_told;
  }
  change.put(vehicle_state_key(vin), to_stored(json));
}

VehicleState make_vehicle_state(const manifest::VerifiedManifest& manifest, UnixSeconds received,
                                const std::optional<VehicleState>& last) {
  const manifest::EcuReport& primary = manifest.primary();
  VehicleState state{.received = received,
                     .time = primary.time,
                     .manifest = manifest.digest(),
                     .acknowledged = primary.counter,
                     .counters = {},
                     .agent = primary.agent,
                     .attack = primary.attack,
                     .installed = {},
                     .functions = {}};
  state.re_encoders = primary.re_encoders;
  for (const auto& [serial, report] : manifest.ecus()) {
    state.counters.emplace(serial, report.counter);
    if (serial != primary.ecu) {
      SecondaryState& said = state.secondaries[serial];
      said = {.time = report.time, .agent = report.agent, .attack = report.attack, .installed = {}};
      // The one slot of which it is believed.
      for (const auto& [slot, image] : report.installed) said.installed = image;
    }
    for (const auto& [slot, image] : report.installed) merge_installed(state, slot, image);
    for (const auto& [id, function] : report.functions) state.functions.emplace(id, function);
  }
  for (const auto& [serial, reason] : manifest.silent())
    keep_silent_one(state, serial, reason, last);
  return state;
}

Result<manifest::VerifiedManifest> verify_from_car(ByteSpan bytes, const Car& car, UnixSeconds now,
                                                   const std::optional<VehicleState>& last) {
  if (!car.pairing) return fail(ErrorCode::kForbidden, "the car is not paired");
  manifest::KnownCar known{
      .vin = car.vin, .primary = car.pairing->primary, .ecus = {}, .last_manifest = std::nullopt};
  if (last) known.last_manifest = last->manifest;
  for (const CarEcu& ecu : car.ecus) {
    if (!ecu.public_key) continue;
    std::uint64_t counter = ecu.counter;
    if (last) {
      const auto found = last->counters.find(ecu.serial);
      if (found != last->counters.end()) counter = std::max(counter, found->second);
    }
    known.ecus.emplace(ecu.serial,
                       manifest::KnownEcu{.key = manifest::PublicKey::from_ed25519(*ecu.public_key),
                                          .counter = counter,
                                          .hardware = ecu.hardware_id});
  }
  manifest::VerifiedManifest manifest = TRY(manifest::verify_vehicle_manifest(bytes, known));
  if (manifest.freshness() == manifest::VerifiedManifest::Freshness::kRepeated) return manifest;
  for (const auto& [serial, report] : manifest.ecus())
    TRY_VOID(manifest::check_report_time(report, now));
  return manifest;
}

}  // namespace layby::server
