#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"
#include "server/fleet/vehicle_state.h"
#include "server/intake/intake.h"
#include "server/rollout/rollout.h"
#include "server/shop/car_report.h"

namespace layby::server {

using manifest::Json;

namespace {

Response acknowledge(std::uint64_t counter) {
  return json_response(200, {{"acknowledged", counter}});
}

// What the car's software was before and after, and attacks that it has seen (P5.4).
void record_changes(CarAffairs& affairs, const std::optional<VehicleState>& before,
                    const VehicleState& after) {
  const Json installed_before = before ? installed_json(*before) : Json::object();
  const Json installed_after = installed_json(after);
  const Json functions_before = before ? functions_json(*before) : Json::object();
  const Json functions_after = functions_json(after);
  if (installed_before != installed_after || functions_before != functions_after) {
    affairs.record("installed", "",
                   {{"before", {{"installed", installed_before}, {"functions", functions_before}}},
                    {"after", {{"installed", installed_after}, {"functions", functions_after}}},
                    {"counter", after.acknowledged}});
  }
  if (!after.attack.empty() && (!before || before->attack != after.attack))
    affairs.record("attack-reported", "", {{"attack", after.attack}});
}

Answer<manifest::VerifiedManifest> verify(const Request& request, const Car& car,
                                          const std::optional<VehicleState>& last,
                                          const Services& services) {
  Result<manifest::VerifiedManifest> manifest =
      verify_from_car(as_bytes(request.body), car, services.clock.now(), last);
  if (manifest) return std::move(*manifest);
  const Error& error = manifest.error();
  services.log(LogLevel::kWarning, "manifest refused",
               {{"vin", car.vin.text()}, {"error", error.message()}});
  const RefusalCode code =
      error.code() == ErrorCode::kReplay ? RefusalCode::kReplay : RefusalCode::kBadManifest;
  return refuse(code, fmt::format("{}: {}", to_string(error.code()), error.message()));
}

Answer<Response> take(const Services& services, Change& change, const manifest::Vin& vin,
                      const Request& request) {
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, vin.text()));
  const std::optional<VehicleState> last = TRY(load_vehicle_state(change, vin));
  const Answer<manifest::VerifiedManifest> manifest =
      verify(request, affairs.car(), last, services);
  if (!manifest) return tl::unexpected(manifest.error());
  switch (manifest->freshness()) {
    case manifest::VerifiedManifest::Freshness::kRepeated:
      return acknowledge(manifest->primary().counter);
    case manifest::VerifiedManifest::Freshness::kNew: break;
  }
  const VehicleState state = make_vehicle_state(*manifest, affairs.now());
  record_changes(affairs, last, state);
  save_vehicle_state(change, vin, state);
  // Other payloads fit it than those that it was offered.
  if (state.re_encoders != (last ? last->re_encoders : manifest::ReEncoders{}))
    affairs.outdate_metadata();
  if (!last) TRY_VOID(renew_seals(affairs, state));
  for (const auto& [serial, report] : manifest->ecus())
    TRY_VOID(apply_report(affairs, report, state));
  TRY_VOID(apply_functions(affairs, state));
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
