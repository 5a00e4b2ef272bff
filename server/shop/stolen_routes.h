// A car is reported stolen, or the report is lifted, with what follows for its orders (P1.12).
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

// POST and DELETE /v1/cars/{vin}/stolen, by the owner, partners and operators. While it holds,
// orders of products that protect are neither cancelled, withdrawn nor deactivated, and a term that
// would end is extended. Both are fine when said twice.
Response post_stolen(const Services& services, const Request& request);
Response delete_stolen(const Services& services, const Request& request);

}  // namespace layby::server
