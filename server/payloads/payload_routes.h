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

// Whether an order of this car entitles it to this payload now. Asked with each request: what a car
// was once told the name of is not its own for ever (P1.6).
using MayFetchPayload =
    std::function<Result<bool>(const std::string& vin, const crypto::Digest256& payload)>;

// Both `services` and `uploads` must outlive the router.
void add_payload_routes(Router& router, const Services& services, Uploads& uploads,
                        IdentifyPayloadCaller identify, MayFetchPayload may_fetch);

}  // namespace layby::server
