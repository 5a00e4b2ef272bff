// Maps that a car asks for by itself, for the regions that matter to it (P3.2).
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

// POST /v1/vehicle/map-requests {regions}: an order with the checks of an owner's (P3.1), for what
// is newer than what the car has, and only while no map is under way. The audit trail names the
// VIN; the messages go to the owner.
Response post_map_request(const Services& services, const Request& request);

}  // namespace layby::server
