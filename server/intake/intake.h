// Where the rooms meet: what a car's word and an owner's consent set in motion.
#pragma once

#include "server/http/message.h"
#include "server/http/router.h"
#include "server/services.h"

namespace layby::server {

// POST /v1/vehicle/manifest: verified against the car's keys, taken once, and everything that
// follows from it for orders and rollouts in the same commit.
Response post_vehicle_manifest(const Services& services, const Request& request);

// PUT, GET, DELETE /v1/cars/{vin}/consents/software-updates (P2.1). Withdrawing cancels what is
// not yet downloaded; what lies downloaded in the car stays.
Response put_consent(const Services& services, const Request& request);
Response get_consent(const Services& services, const Request& request);
Response delete_consent(const Services& services, const Request& request);

// `services` must outlive the router.
void add_intake_routes(Router& router, const Services& services);

}  // namespace layby::server
