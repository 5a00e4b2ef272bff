// Whether an order goes on when its term ends: the owner's switch, and renewing by hand (P1.8).
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

// PUT /v1/orders/{id}/renewal {"auto": true|false}: until one day before the end; what comes later
// counts for the next period, and the answer says so.
Response put_renewal(const Services& services, const Request& request);
// POST /v1/orders/{id}/renew: a fixed term, within 14 days before its end.
Response post_renew(const Services& services, const Request& request);

}  // namespace layby::server
