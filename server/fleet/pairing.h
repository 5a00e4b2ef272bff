// Pairing: an 8-character code ties a car to an owner's account and gives it the certificate by
// which it calls (P2.6). The keys are made in the car and never leave it.
#pragma once

#include "server/fleet/refusal.h"
#include "server/services.h"

namespace layby::server {

// Without 0 and O, 1, I and L, U and V: what people read out and type. 8 of them: 39 bits.
inline constexpr std::string_view kPairingAlphabet = "23456789ABCDEFGHJKMNPQRSTWXYZ";
constexpr std::size_t kPairingCodeLength = 8;
constexpr UnixSeconds kPairingCodeSeconds = 3600;
// So many wrong codes for one VIN lock it.
constexpr std::uint64_t kPairingTriesMax = 5;
constexpr UnixSeconds kPairingLockSeconds = 3600;
// Of a car's certificate: the life of the car. The server knows each car's one certificate by
// fingerprint, so ending one does not wait for this.
constexpr UnixSeconds kVehicleCertificateSeconds = 20 * 365 * kDaySeconds;

// POST /v1/pairing-codes. An account has one code at a time: a new one ends the one before.
Response post_pairing_code(const Services& services, const Request& request);

// POST /v1/pair. The very same request again gets the same answer while the code would have lived,
// so that a car whose answer was lost is not stranded.
Response post_pair(const Services& services, const Request& request);

}  // namespace layby::server
