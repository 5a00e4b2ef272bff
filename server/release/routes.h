// The Image repository over HTTP, for anyone to read and for operators to write, and the payload
// jobs (docs/api.md).
#pragma once

#include "server/http/router.h"
#include "server/services.h"

namespace layby::server {

// `services` must outlive the router.
void add_release_routes(Router& router, const Services& services);

}  // namespace layby::server
