// Cars over HTTP: registering them, looking at them.
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

Response post_car(const Services& services, const Request& request);
Response get_car(const Services& services, const Request& request);

// The cars that the caller owns or uses.
Response get_own_cars(const Services& services, const Request& request);

}  // namespace layby::server
