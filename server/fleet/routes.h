// The routes of this room: accounts, cars, pairing, certificates, users, audit and events.
#pragma once

#include "server/http/router.h"
#include "server/services.h"

namespace layby::server {

// `services` must outlive the router.
void add_fleet_routes(Router& router, const Services& services);

}  // namespace layby::server
