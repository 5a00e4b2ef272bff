// Joining the fleet (P2.6): the owner's code, the car's public keys and a certificate request go
// out, the certificate comes back. Private keys stay.
#pragma once

#include <string>

#include "agent/car_identity.h"
#include "agent/secondaries.h"
#include "agent/transport.h"

namespace layby::agent {

// `transport` shows the certificate of a car that was paired before: only so it can go to another
// owner without a partner. `partner_token` is that of a partner in whose workshop it happens; empty
// for none. A car that was provisioned with secondaries asks each who it is through `secondaries`,
// and tells the server; all of them have to answer. kForbidden when the server refuses, with its
// words; the certificate must carry this car's VIN and key, kBadFormat otherwise.
Result<void> pair(Disk& disk, const Layout& layout, Transport& transport, const std::string& code,
                  const std::string& partner_token = "", SecondaryLink* secondaries = nullptr);

}  // namespace layby::agent
