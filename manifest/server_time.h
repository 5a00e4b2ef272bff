// Signed time for a car that asked with a nonce (docs/formats.md, "Server time").
#pragma once

#include <array>
#include <span>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "manifest/metadata_json.h"
#include "manifest/repository.h"
#include "manifest/vin.h"

namespace layby::manifest {

using TimeNonce = std::array<std::uint8_t, 16>;

TimeNonce make_time_nonce();

// One question for several ECUs, so that one answer serves all: the first 16 bytes of SHA-256 over
// `layby time nonces 1`, a zero byte, and the nonces, sorted as bytes. The order given does not
// matter; the same nonce twice counts once.
TimeNonce join_time_nonces(std::span<const TimeNonce> nonces);

// Who may sign time: changes with every key that comes or goes, and with the threshold.
crypto::Digest256 time_keys(const Root& root);

// kFreeze from the root's expiry on: a signed time can leap no further than its own witness is good
// for. Past the expiry of the root nobody's word counts, so a time from there is none, and moves no
// clock. A newer root may know of a later one.
Result<void> check_time_witness(UnixSeconds signed_time, const Root& root);

// Signed by the Director's timestamp role.
Result<Bytes> make_server_time(const TimeNonce& nonce, UnixSeconds time, Signers by);

// kBadSignature unless the timestamp role of the Director's trusted root signed it, kReplay for
// another nonce.
Result<UnixSeconds> verify_server_time(ByteSpan bytes, const TimeNonce& nonce,
                                       const TrustedRepository& director);

// The time at which an offline package was made (docs/formats.md, "Offline package"). It has no
// nonce, so it only says that it is at least so late now. Signed as above.
Result<Bytes> make_package_time(const Vin& vin, UnixSeconds time, Signers by);

// kBadSignature as above, kWrongVehicle for another VIN.
Result<UnixSeconds> verify_package_time(ByteSpan bytes, const Vin& vin,
                                        const TrustedRepository& director);

}  // namespace layby::manifest
