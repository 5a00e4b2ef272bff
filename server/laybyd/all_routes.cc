#include "server/laybyd/all_routes.h"

#include "server/director/routes.h"
#include "server/fleet/auth.h"
#include "server/fleet/routes.h"
#include "server/intake/intake.h"
#include "server/outbox/routes.h"
#include "server/payloads/payload_routes.h"
#include "server/release/routes.h"
#include "server/rollout/routes.h"
#include "server/shop/entitlement.h"
#include "server/shop/routes.h"

namespace layby::server {

namespace {

IdentifyPayloadCaller payload_callers(const Services& services) {
  return [&services](const Request& request) -> Result<PayloadCaller> {
    using Kind = PayloadCaller::Kind;
    const Caller caller = TRY(authenticate(services, request));
    switch (caller.kind) {
      case Caller::Kind::kAnyone: return PayloadCaller{};
      case Caller::Kind::kVehicle: return PayloadCaller{Kind::kVehicle, caller.vin->text()};
      case Caller::Kind::kAccount: break;
    }
    switch (caller.role) {
      case Role::kOperator: return PayloadCaller{Kind::kOperator, ""};
      case Role::kPartner: return PayloadCaller{Kind::kPartner, ""};
      case Role::kOwner: return PayloadCaller{Kind::kOther, ""};
    }
    return PayloadCaller{Kind::kOther, ""};
  };
}

MayFetchPayload payload_entitlement(const Services& services) {
  return [&services](const std::string& vin, const crypto::Digest256& payload) -> Result<bool> {
    const manifest::Vin car = TRY(manifest::Vin::parse(vin));
    return may_fetch_payload(services, car, payload);
  };
}

}  // namespace

void add_all_routes(Router& router, const Services& services, Uploads& uploads) {
  add_payload_routes(router, services, uploads, payload_callers(services),
                     payload_entitlement(services));
  add_fleet_routes(router, services);
  add_shop_routes(router, services);
  add_release_routes(router, services);
  add_director_routes(router, services);
  add_rollout_routes(router, services);
  add_outbox_routes(router, services);
  add_intake_routes(router, services);
}

}  // namespace layby::server
