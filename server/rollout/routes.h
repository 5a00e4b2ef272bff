// The routes of this room: rollouts.
#pragma once

#include "server/http/router.h"
#include "server/services.h"

namespace layby::server {

// `services` must outlive the router.
void add_rollout_routes(Router& router, const Services& services);

}  // namespace layby::server
