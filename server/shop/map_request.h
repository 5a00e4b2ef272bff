// Maps that a car asks for by itself, for the regions that matter to it (P3.2).
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

// POST /v1/vehicle/map-requests {regions, start}: an order with the checks of an owner's (P3.1),
// for the first three of which there is something newer than what the car has, and only while no
// map is under way; or what these are, where the owner is to order them. The audit trail names the
// VIN; the messages go to the owner.
Response post_map_request(const Services& services, const Request& request);

}  // namespace layby::server
