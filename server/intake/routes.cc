#include "base/limits.h"
#include "server/intake/intake.h"

namespace layby::server {

void add_intake_routes(Router& router, const Services& services) {
  constexpr const char* kConsent = "/v1/cars/{vin}/consents/software-updates";
  const auto add = [&](Method method, const char* path,
                       Response (*handler)(const Services&, const Request&)) {
    router.add({.method = method,
                .path = path,
                .handler = [&services,
                            handler](const Request& request) { return handler(services, request); },
                .body_bytes_max = kVehicleManifestBytesMax});
  };
  add(Method::kPost, "/v1/vehicle/manifest", post_vehicle_manifest);
  add(Method::kPut, kConsent, put_consent);
  add(Method::kGet, kConsent, get_consent);
  add(Method::kDelete, kConsent, delete_consent);
}

}  // namespace layby::server
