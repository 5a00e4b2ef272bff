// Signed time for a car that asked with a nonce (docs/formats.md, "Server time").
#pragma once

#include <array>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "manifest/metadata_json.h"
#include "manifest/repository.h"
#include "manifest/vin.h"

namespace layby::manifest {

using TimeNonce = std::array<std::uint8_t, 16>;

TimeNonce make_time_nonce();

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
