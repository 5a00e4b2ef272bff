// Pairing: an 8-character code ties a car to an owner's account and gives it the certificate by
// which it calls (P2.6). The keys are made in the car and never leave it.
#pragma once

#include "server/fleet/one_time_code.h"
#include "server/fleet/refusal.h"
#include "server/services.h"

namespace layby::server {

constexpr UnixSeconds kPairingCodeSeconds = 3600;

// `pc/<digest>`: a code; `pa/<account>`: the digest of the one that an account has waiting.
std::string pairing_code_key(std::string_view digest);
std::string account_pairing_code_key(std::string_view account);

// POST /v1/pairing-codes. An account has one code at a time: a new one ends the one before.
Response post_pairing_code(const Services& services, const Request& request);

// POST /v1/pair. In the workshop with the partner's token, who then stands in the trail and in the
// owner's message. ECUs that are not the car's, or were exchanged without leave
// (ecu_replacement.h), use the code up and count as a wrong one; only a partner is told which of
// them it is. A car that has been paired before goes to another account only when it shows its
// present certificate or a partner vouches for it: whoever knows a VIN and the ECUs' serials must
// not have somebody else's car. For the owner before, this is the same as handing it over (P1.10).
// The very same request again gets the same answer while the code would have lived, so that a car
// whose answer was lost is not stranded.
Response post_pair(const Services& services, const Request& request);

}  // namespace layby::server
