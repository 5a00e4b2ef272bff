#include "server/fleet/routes.h"

#include "server/fleet/account_routes.h"
#include "server/fleet/audit_routes.h"
#include "server/fleet/car_routes.h"
#include "server/fleet/check_in.h"
#include "server/fleet/ecu_replacement.h"
#include "server/fleet/invitation.h"
#include "server/fleet/named_ecus.h"
#include "server/fleet/ownership.h"
#include "server/fleet/pairing.h"
#include "server/fleet/trail_routes.h"
#include "server/fleet/vehicle_certificate.h"

namespace layby::server {

void add_fleet_routes(Router& router, const Services& services) {
  const auto add = [&](Method method, const char* path,
                       Response (*handler)(const Services&, const Request&),
                       std::uint64_t body_bytes_max = 64 * kKiB) {
    router.add({.method = method,
                .path = path,
                .handler = [&services,
                            handler](const Request& request) { return handler(services, request); },
                .body_bytes_max = body_bytes_max});
  };
  add(Method::kPost, "/v1/accounts", post_account);
  add(Method::kGet, "/v1/accounts", get_accounts);
  add(Method::kGet, "/v1/accounts/{id}", get_account);
  add(Method::kDelete, "/v1/accounts/{id}", delete_account);
  add(Method::kPost, "/v1/accounts/{id}/tokens", post_account_token);
  add(Method::kGet, "/v1/accounts/{id}/tokens", get_account_tokens);
  add(Method::kDelete, "/v1/accounts/{id}/tokens", delete_account_tokens);
  add(Method::kDelete, "/v1/accounts/{id}/tokens/{token}", delete_account_token);
  add(Method::kPost, "/v1/cars", post_car);
  add(Method::kGet, "/v1/cars", get_own_cars);
  add(Method::kGet, "/v1/cars/{vin}", get_car);
  add(Method::kGet, "/v1/silent-cars", get_silent_cars);
  add(Method::kPost, "/v1/cars/{vin}/ecus/{serial}/replacement", post_ecu_replacement);
  add(Method::kDelete, "/v1/cars/{vin}/ecus/{serial}/replacement", delete_ecu_replacement);
  add(Method::kPost, "/v1/vehicle/ecus", post_vehicle_ecus, kNamedEcusBytesMax);
  add(Method::kGet, "/v1/cars/{vin}/users", get_car_users);
  add(Method::kDelete, "/v1/cars/{vin}/users/{account}", delete_car_user);
  add(Method::kPost, "/v1/cars/{vin}/invitations", post_invitation);
  add(Method::kDelete, "/v1/cars/{vin}/invitations", delete_invitations);
  add(Method::kPost, "/v1/invitations/accept", post_acceptance);
  add(Method::kPost, "/v1/cars/{vin}/hand-over", post_hand_over);
  add(Method::kDelete, "/v1/cars/{vin}/certificate", delete_vehicle_certificate);
  add(Method::kPost, "/v1/vehicle/certificate", post_vehicle_certificate);
  add(Method::kPost, "/v1/pairing-codes", post_pairing_code);
  add(Method::kPost, "/v1/pair", post_pair, kNamedEcusBytesMax);
  add(Method::kGet, "/v1/cars/{vin}/audit", get_audit);
  add(Method::kGet, "/v1/cars/{vin}/audit/export", get_audit_export);
  add(Method::kGet, "/v1/audit-key", get_audit_export_key);
  add(Method::kGet, "/v1/cars/{vin}/events", get_car_messages);
  add(Method::kGet, "/v1/messages", get_messages);
  add(Method::kGet, "/v1/events", get_events);
}

}  // namespace layby::server
