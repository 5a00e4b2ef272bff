// What can be read back besides the audit trail (audit_routes.h): the messages to the owner of a
// car, all outgoing events.
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

// Of one car, for its owner; of all cars, for the account that they went to.
Response get_car_messages(const Services& services, const Request& request);
Response get_messages(const Services& services, const Request& request);
Response get_events(const Services& services, const Request& request);

}  // namespace layby::server
