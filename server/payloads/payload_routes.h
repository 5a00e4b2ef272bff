// The routes of uploads, payloads and transfers. Who calls is found out by a function that is
// handed in: this room does not know accounts.
#pragma once

#include <functional>
#include <string>

#include "server/http/router.h"
#include "server/payloads/uploads.h"
#include "server/services.h"

namespace layby::server {

struct PayloadCaller {
  enum class Kind { kAnyone, kVehicle, kOperator, kPartner, kOther } kind = Kind::kAnyone;
  std::string vin;  // vehicles only
};
// kUnauthenticated for credentials that are no good; kAnyone where there are none.
using IdentifyPayloadCaller = std::function<Result<PayloadCaller>(const Request&)>;

// Both `services` and `uploads` must outlive the router.
void add_payload_routes(Router& router, const Services& services, Uploads& uploads,
                        IdentifyPayloadCaller identify);

}  // namespace layby::server
