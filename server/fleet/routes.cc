#include "server/fleet/routes.h"

#include "server/fleet/account_routes.h"
#include "server/fleet/car_routes.h"
#include "server/fleet/pairing.h"
#include "server/fleet/trail_routes.h"

namespace layby::server {

void add_fleet_routes(Router& router, const Services& services) {
  const auto add = [&](Method method, const char* path,
                       Response (*handler)(const Services&, const Request&)) {
    router.add(
        {.method = method, .path = path, .handler = [&services, handler](const Request& request) {
           return handler(services, request);
         }});
  };
  add(Method::kPost, "/v1/accounts", post_account);
  add(Method::kPost, "/v1/accounts/{id}/tokens", post_account_token);
  add(Method::kDelete, "/v1/accounts/{id}/tokens", delete_account_tokens);
  add(Method::kPost, "/v1/cars", post_car);
  add(Method::kGet, "/v1/cars/{vin}", get_car);
  add(Method::kPost, "/v1/cars/{vin}/users", post_car_user);
  add(Method::kDelete, "/v1/cars/{vin}/users/{account}", delete_car_user);
  add(Method::kPost, "/v1/pairing-codes", post_pairing_code);
  add(Method::kPost, "/v1/pair", post_pair);
  add(Method::kGet, "/v1/cars/{vin}/audit", get_audit);
  add(Method::kGet, "/v1/cars/{vin}/events", get_messages);
  add(Method::kGet, "/v1/events", get_events);
}

}  // namespace layby::server
