// Which payloads a car may fetch: those of its open orders, as long as they are open (P1.6).
#pragma once

#include "base/clock.h"
#include "crypto/digest.h"
#include "manifest/vin.h"
#include "server/services.h"

namespace layby::server {

struct Order;

// As the order stands, payloads may come for it: over the air or in a partner's package.
bool may_bring_payloads(const Order& order, UnixSeconds now);

// Whether an order of this car that it is to install now uses an image that this payload makes.
// False too for an order whose 28 days are over and that the sweep has not yet come to, for an
// image that was withdrawn, and for an order that a partner's package brings. A few point reads; no
// write.
Result<bool> may_fetch_payload(const Services& services, const manifest::Vin& vin,
                               const crypto::Digest256& payload);

}  // namespace layby::server
