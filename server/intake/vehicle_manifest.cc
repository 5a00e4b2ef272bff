#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/ecu_replacement.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"
#include "server/fleet/vehicle_state.h"
#include "server/intake/intake.h"
#include "server/rollout/rollout.h"
#include "server/shop/car_report.h"
#include "server/shop/obsolete_order.h"

namespace layby::server {

using manifest::Json;

namespace {

Response acknowledge(std::uint64_t counter) {
  return json_response(200, {{"acknowledged", counter}});
}

// What each ECU but the primary runs, by serial.
Json secondary_images(const VehicleState& state) {
  Json images = Json::object();
  for (const auto& [serial, said] : state.secondaries)
    if (said.installed)
      images[serial.text()] = {{"image", said.installed->image.text()},
                               {"sha256", to_hex(said.installed->sha256)},
                               {"releaseCounter", said.installed->release_counter}};
  return images;
}

Json software_json(const VehicleState& state) {
  Json json{{"installed", installed_json(state)}, {"functions", functions_json(state)}};
  Json secondaries = secondary_images(state);
  if (!secondaries.empty()) json["ecus"] = std::move(secondaries);
  return json;
}

void record_attacks(CarAffairs& affairs, const std::optional<VehicleState>& before,
                    const VehicleState& after) {
  if (!after.attack.empty() && (!before || before->attack != after.attack))
    affairs.record("attack-reported", "", {{"attack", after.attack}});
  for (const auto& [serial, said] : after.secondaries) {
    if (said.attack.empty()) continue;
    const auto known = before ? before->secondaries.find(serial) : after.secondaries.end();
    if (before && known != before->secondaries.end() && known->second.attack == said.attack)
      continue;
    affairs.record("attack-reported", "", {{"attack", said.attack}, {"ecu", serial.text()}});
  }
}

// At most two records a day for each ECU, however often it falls silent.
void record_silence(const Services& services, CarAffairs& affairs,
                    const std::optional<VehicleState>& before, VehicleState& after) {
  for (auto& [serial, silent] : after.silent) {
    if (silent.is_told || after.received - silent.since < kEcuSilenceSeconds) continue;
    silent.is_told = true;
    Json data = silent_json(silent);
    data["ecu"] = serial.text();
    affairs.record("ecu-fell-silent", "", data);
    services.log(LogLevel::kWarning, "ECU silent",
                 {{"vin", affairs.car().vin.text()}, {"ecu", serial.text()}});
  }
  if (!before) return;
  for (const auto& [serial, silent] : before->silent)
    if (silent.is_told && !after.silent.contains(serial))
      affairs.record("ecu-heard-again", "",
                     {{"ecu", serial.text()}, {"since", format_utc(silent.since)}});
}

// What the car's software was before and after, and attacks that it has seen (P5.4).
void record_changes(CarAffairs& affairs, const std::optional<VehicleState>& before,
                    const VehicleState& after) {
  const Json nothing{{"installed", Json::object()}, {"functions", Json::object()}};
  const Json software_before = before ? software_json(*before) : nothing;
  const Json software_after = software_json(after);
  if (software_before != software_after)
    affairs.record(
        "installed", "",
        {{"before", software_before}, {"after", software_after}, {"counter", after.acknowledged}});
  record_attacks(affairs, before, after);
}

Refusal refusal_of(const Error& error) {
  const RefusalCode code =
      error.code() == ErrorCode::kReplay ? RefusalCode::kReplay : RefusalCode::kBadManifest;
  return {code, fmt::format("{}: {}", to_string(error.code()), error.message())};
}

Answer<Response> take(const Services& services, Change& change, const manifest::Vin& vin,
                      const Request& request) {
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, vin.text()));
  const std::optional<VehicleState> last = TRY(load_vehicle_state(change, vin));
  const Result<manifest::VerifiedManifest> manifest =
      verify_from_car(as_bytes(request.body), affairs.car(), affairs.now(), last);
  if (!manifest) {
    const Error& error = manifest.error();
    services.log(LogLevel::kWarning, "manifest refused",
                 {{"vin", vin.text()}, {"error", error.message()}});
    TRY_VOID(note_refused(affairs, "manifest-refused", error));
    // It is committed that it was refused.
    return to_response(tl::unexpected(refusal_of(error)));
  }
  switch (manifest->freshness()) {
    case manifest::VerifiedManifest::Freshness::kRepeated:
      return acknowledge(manifest->primary().counter);
    case manifest::VerifiedManifest::Freshness::kNew: break;
  }
  VehicleState state = make_vehicle_state(*manifest, affairs.now(), last);
  record_changes(affairs, last, state);
  record_silence(services, affairs, last, state);
  save_vehicle_state(change, vin, state);
  // Other payloads fit it than those that it was offered.
  if (state.re_encoders != (last ? last->re_encoders : manifest::ReEncoders{}))
    affairs.outdate_metadata();
  if (!last) TRY_VOID(renew_seals(affairs, state));
  for (const auto& [serial, report] : manifest->ecus())
    TRY_VOID(apply_report(affairs, report, state));
  TRY_VOID(apply_functions(affairs, state));
  TRY_VOID(end_obsolete_orders(affairs));
  TRY_VOID(offer_software(affairs, state));
  return acknowledge(state.acknowledged);
}

}  // namespace

Response post_vehicle_manifest(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const manifest::Vin vin = TRY(require_vehicle(services, request));
    Answer<Response> answer = commit_with_retry(
        services.store,
        [&](Change& change) -> Answer<Response> { return take(services, change, vin, request); });
    if (answer) services.wake_sweeper();
    return answer;
  }());
}

}  // namespace layby::server
