// The routes of this room: webhooks and their dead letters.
#pragma once

#include "server/http/router.h"
#include "server/services.h"

namespace layby::server {

// `services` must outlive the router.
void add_outbox_routes(Router& router, const Services& services);

}  // namespace layby::server
