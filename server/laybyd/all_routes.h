// Everything that the server answers, put together.
#pragma once

#include "server/http/router.h"
#include "server/payloads/uploads.h"
#include "server/services.h"

namespace layby::server {

// The routes of all rooms but the operations' own (operations_routes.h). Must not outlive
// `services` and `uploads`.
void add_all_routes(Router& router, const Services& services, Uploads& uploads);

}  // namespace layby::server
