// Signed time for a car that asked with a nonce (docs/formats.md, "Server time").
#pragma once

#include <array>
#include <span>
#include <vector>

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

// Who can sign time: digests of the keys of the timestamp role, whatever their ids are, in
// ascending order. More than 32 keys are one digest of them all.
using TimeKeys = std::vector<crypto::Digest256>;
TimeKeys time_keys(const Root& root);

// As agent and ECU keep them. Reading gives none where there is no list: an older record had a
// digest.
Json to_json(const TimeKeys& keys);
Result<TimeKeys> time_keys_field(const Json& object, std::string_view name);

// Whether a time that came when `then` could sign still holds later ones off, now that `now` can:
// not if one of those keys was taken away, since whoever stole it could have set the time ahead
// (recovery from fast-forward, as TUF 5.3.11 has it). Keys that are merely added change nothing, up
// to 32; beyond that every change counts as one that takes a key away.
// `then` is empty where it is not known, and the time holds.
bool still_holds(const TimeKeys& then, const TimeKeys& now);

// The newest signed time from now on: `signed_time`, but never less than `held`. kRollback if it is
// more than five minutes below that: two answers of one server may be a little out of order, since
// its clock is corrected while it runs.
Result<UnixSeconds> accept_signed_time(UnixSeconds signed_time, UnixSeconds held);

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
