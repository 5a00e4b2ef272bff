// Who calls.
#pragma once

#include <optional>
#include <string>

#include "manifest/vin.h"
#include "server/fleet/account.h"
#include "server/fleet/car.h"
#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

struct Caller {
  enum class Kind { kAnyone, kAccount, kVehicle };
  Kind kind = Kind::kAnyone;
  std::string account;               // accounts only
  Role role = Role::kOwner;          // accounts only
  std::optional<manifest::Vin> vin;  // vehicles only
  enum class Proof { kNone, kToken, kProvider, kCertificate };
  Proof proof = Proof::kNone;
  Scopes scopes = {};  // of the token

  bool has_role(Role wanted) const { return kind == Kind::kAccount && role == wanted; }
  // For audit records: the account's id, the VIN, or "anyone".
  std::string name() const;
};

// By bearer token if there is one, ours or the identity provider's, else by client certificate,
// else anyone. kUnauthenticated for a token that is unknown, revoked or expired, and for a
// certificate that is not the car's current one: pairing a car again ends its old certificate at
// once. kForbidden for a token whose scopes do not cover this call. The first use of a car's
// renewed certificate, and the first call of a subject that gets an account by it, are commits.
Result<Caller> authenticate(const Services& services, const Request& request);

// The same, and kUnauthenticated for anyone, kForbidden for the wrong one.
Result<Caller> require_account(const Services& services, const Request& request);
Result<Caller> require_role(const Services& services, const Request& request, Role role);
// The car has been heard of by it (check_in.h).
Result<manifest::Vin> require_vehicle(const Services& services, const Request& request);

// The car that a path names, for those who may look at it: its owner, its secondary users, partners
// and operators. To others it is as if it did not exist (kNotFound): a VIN must not be found out.
enum class Standing { kOwner, kSecondary, kPartner, kOperator };
struct CarAccess {
  Caller caller;
  Car car;
  Standing standing;
};
Result<CarAccess> access_car(const Services& services, const Request& request);
Result<CarAccess> access_car(const Services& services, const Caller& caller,
                             const manifest::Vin& vin);

}  // namespace layby::server
