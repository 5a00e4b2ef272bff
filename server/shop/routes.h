// The routes of this room: catalogue, offers, orders.
#pragma once

#include "server/http/router.h"
#include "server/services.h"

namespace layby::server {

// `services` must outlive the router.
void add_shop_routes(Router& router, const Services& services);

}  // namespace layby::server
