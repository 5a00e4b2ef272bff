// Licences: what lets a function run in one car (docs/formats.md, "Licence"; P1.3, P1.9).
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/keys.h"
#include "crypto/sealed_box.h"
#include "manifest/keys.h"
#include "manifest/names.h"
#include "manifest/vin.h"

namespace layby::manifest {

enum class LicenceState { kActive, kRevoked };

struct Licence {
  Vin vin;
  FunctionId function;
  OrderId order;
  std::uint64_t counter = 1;
  LicenceState state = LicenceState::kActive;
  UnixSeconds issued = 0;
  std::optional<UnixSeconds> until;  // absent: unlimited
  // How long after `until` a car that hears nothing lets it run; 0 without `until`.
  std::int64_t grace_seconds = 0;

  // When the function is off; absent: never.
  std::optional<UnixSeconds> ends() const;
};
constexpr std::int64_t kGraceSecondsMax = 31 * kDaySeconds;

// Signed and sealed to the car: what travels, and what the car keeps.
Result<Bytes> make_licence(const Licence& licence, const crypto::Signer& licence_key,
                           const crypto::SealPublicKey& car);

// What a car remembers of the newest licence of a function.
struct LicenceMark {
  std::uint64_t counter = 0;
  crypto::Digest256 content{};  // of the signed part
  bool operator==(const LicenceMark&) const = default;
};

// Only open_licence makes one.
class VerifiedLicence {
 public:
  const Licence& operator*() const { return licence_; }
  const Licence* operator->() const { return &licence_; }
  const LicenceMark& mark() const { return mark_; }

 private:
  friend struct LicenceOpener;
  VerifiedLicence(Licence licence, LicenceMark mark) : licence_(std::move(licence)), mark_(mark) {}
  Licence licence_;
  LicenceMark mark_;
};

struct LicenceExpectation {
  Vin vin;
  FunctionId function;
  PublicKey licence_key;              // from the function's mustMatch
  std::optional<LicenceMark> newest;  // of this function in this car; absent for none yet
};

// kLicenceRefused, saying why: sealed to another car, another VIN or function, a counter below the
// newest one, the newest one's counter with other content. kBadSignature when the function's key
// did not sign it; kEndlessData above kLicenceBytesMax. The very same licence again is fine. A
// licence whose term is over opens: what it is worth at a time is state_at's to say.
Result<VerifiedLicence> open_licence(ByteSpan sealed, const crypto::SealSecretKey& car,
                                     const LicenceExpectation& expected);

// Which function a licence speaks of, before its key is known: sealed to this car, for this VIN,
// but not verified. Good for waiting for that function and for nothing else. Errors as
// open_licence's, but for the signature.
Result<FunctionId> claimed_function(ByteSpan sealed, const crypto::SealSecretKey& car,
                                    const Vin& vin);

enum class FunctionState { kActive, kExpired, kRevoked };
std::string_view to_string(FunctionState state);  // "active", "expired", "revoked"
Result<FunctionState> parse_function_state(std::string_view text);

// Active until it ends: at that second, the grace over, the function is off.
FunctionState state_at(const Licence& licence, UnixSeconds now);

}  // namespace layby::manifest
