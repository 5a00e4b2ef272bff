// Cars over HTTP: registering them, looking at them, their secondary users.
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

Response post_car(const Services& services, const Request& request);
Response get_car(const Services& services, const Request& request);
Response post_car_user(const Services& services, const Request& request);
Response delete_car_user(const Services& services, const Request& request);

}  // namespace layby::server
