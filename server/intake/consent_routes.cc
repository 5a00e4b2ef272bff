#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/consent.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"
#include "server/fleet/vehicle_state.h"
#include "server/intake/intake.h"
#include "server/rollout/rollout.h"
#include "server/shop/order_change.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::size_t kTextVersionBytesMax = 64;

Refusal not_the_owner() {
  return {RefusalCode::kOwnerOnly, "only the owner of the car gives or withdraws consent"};
}

Answer<CarAffairs> begin(const Services& services, Change& change, const CarAccess& access) {
  CarAffairs affairs =
      TRY(CarAffairs::begin(services, change, access.car.vin, access.caller.account));
  if (!affairs.car().owned_by(access.caller.account)) return refuse(not_the_owner());
  return affairs;
}

Result<Consent> read_consent(const Request& request, const std::string& who, UnixSeconds now) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"language", "text_version"}));
  auto language = TRY(manifest::text_field(body, "language"));
  auto text_version = TRY(manifest::text_field(body, "text_version"));
  Consent consent{.state = Consent::State::kGiven,
                  .language = std::move(language),
                  .text_version = std::move(text_version),
                  .who = who,
                  .at = now};
  if (consent.language.size() != 2)
    return fail(ErrorCode::kBadFormat, "\"language\": two letters of ISO 639-1");
  if (consent.text_version.empty() || consent.text_version.size() > kTextVersionBytesMax)
    return fail(ErrorCode::kBadFormat, "\"text_version\": 1 to {} bytes", kTextVersionBytesMax);
  return consent;
}

// What is not downloaded yet may not be downloaded any more.
Result<void> stop_downloads(CarAffairs& affairs) {
  for (Order& order : TRY(load_orders(affairs.change(), affairs.car().vin))) {
    if (order.kind != manifest::ImageKind::kSoftware) continue;
    TRY_VOID(apply_cause(affairs, order, OrderCause::kConsentWithdrawn, Json::object()));
  }
  return {};
}

}  // namespace

Response put_consent(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    const Consent consent = TRY(read_consent(request, access.caller.account, services.clock.now()));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      Answer<CarAffairs> affairs = begin(services, change, access);
      if (!affairs) return tl::unexpected(std::move(affairs.error()));
      save_software_consent(*affairs, consent);
      const std::optional<VehicleState> state = TRY(load_vehicle_state(change, access.car.vin));
      if (state) TRY_VOID(offer_software(*affairs, *state));
      return json_response(200, consent_json(consent));
    });
  }());
}

Response get_consent(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    if (access.standing == Standing::kSecondary) return refuse(not_the_owner());
    return json_response(200,
                         consent_json(TRY(load_software_consent(services.store, access.car.vin))));
  }());
}

Response delete_consent(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      Answer<CarAffairs> affairs = begin(services, change, access);
      if (!affairs) return tl::unexpected(std::move(affairs.error()));
      std::optional<Consent> consent = TRY(load_software_consent(change, access.car.vin));
      if (consent && consent->state == Consent::State::kGiven) {
        consent->state = Consent::State::kWithdrawn;
        consent->who = access.caller.account;
        consent->at = affairs->now();
        save_software_consent(*affairs, *consent);
        TRY_VOID(stop_downloads(*affairs));
      }
      return json_response(200, consent_json(consent));
    });
  }());
}

}  // namespace layby::server
