// GET /v1/vehicle/director/{file} and GET /v1/vehicle/time (docs/api.md). A car is who its client
// certificate says: no path, query or body can name another one.
#pragma once

#include "server/http/router.h"
#include "server/services.h"

namespace layby::server {

// `services` must outlive the router.
void add_director_routes(Router& router, const Services& services);

}  // namespace layby::server
