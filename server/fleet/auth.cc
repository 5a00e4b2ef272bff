#include "server/fleet/auth.h"

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/fleet/check_in.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/vehicle_certificate.h"
#include "server/oidc/verifier.h"

namespace layby::server {

namespace {

constexpr std::string_view kBearer = "Bearer ";

Result<Caller> authenticate_own_token(const Services& services, const Request& request,
                                      std::string_view token) {
  std::optional<TokenHolder> holder = TRY(find_token(services.store, token, services.clock.now()));
  if (!holder) return fail(ErrorCode::kUnauthenticated, "the token is unknown, revoked or expired");
  if (!allows(holder->scopes, request.method, request.path))
    return fail(ErrorCode::kForbidden, "the token's scopes do not cover this call");
  return Caller{.kind = Caller::Kind::kAccount,
                .account = std::move(holder->account),
                .role = holder->role,
                .vin = std::nullopt,
                .proof = Caller::Proof::kToken,
                .scopes = std::move(holder->scopes)};
}

Result<std::string> make_account_of(const Services& services, const OidcIdentity& identity,
                                    const std::string& key, Role role) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<std::string> {
    if (const auto present = TRY(change.get(key)))
      return manifest::text_field(TRY(parse_stored(key, *present)), "account");
    const std::string erased = erased_subject_key(key);
    if (const auto mark = TRY(change.get(erased))) {
      const UnixSeconds at = TRY(manifest::time_field(TRY(parse_stored(erased, *mark)), "at"));
      if (identity.issued.value_or(at) <= at)
        return fail(ErrorCode::kUnauthenticated,
                    "the subject's account was erased: who wants another one signs in again");
      change.erase(erased);
    }
    const AccountRequest wanted{.name = identity.name, .role = role, .email = identity.email};
    return TRY(create_account_for_subject(change, wanted, key, services.clock.now())).id;
  });
}

// What the provider says of the role holds for this call; what the account was made with does not.
Result<Caller> authenticate_subject(const Services& services, std::string_view token) {
  const OidcIdentity identity = TRY(services.oidc->verify(token, services.clock.now()));
  const Role role = TRY(parse_role(identity.role));
  const std::string key = subject_key(services.oidc->issuer(), identity.subject);
  std::string account;
  if (const auto stored = TRY(services.store.get(key))) {
    account = TRY(manifest::text_field(TRY(parse_stored(key, *stored)), "account"));
  } else {
    switch (services.oidc->unknown_subjects()) {
      case UnknownSubjects::kRefuse:
        return fail(ErrorCode::kUnauthenticated, "the token's subject has no account here");
      case UnknownSubjects::kMakeAccount:
        account = TRY(make_account_of(services, identity, key, role));
        break;
    }
  }
  return Caller{.kind = Caller::Kind::kAccount,
                .account = std::move(account),
                .role = role,
                .vin = std::nullopt,
                .proof = Caller::Proof::kProvider};
}

Result<Caller> authenticate_token(const Services& services, const Request& request,
                                  std::string_view header) {
  if (header.substr(0, kBearer.size()) != kBearer)
    return fail(ErrorCode::kUnauthenticated, "Authorization: only Bearer tokens are taken");
  const std::string_view token = header.substr(kBearer.size());
  if (services.oidc != nullptr && !token.starts_with(kTokenPrefix))
    return authenticate_subject(services, token);
  return authenticate_own_token(services, request, token);
}

Result<Caller> authenticate_certificate(const Services& services, const PeerCertificate& peer) {
  // One text for all that can be wrong: which cars exist is nobody's business.
  const auto refused = [] {
    return fail(ErrorCode::kUnauthenticated, "the certificate is not that of a paired car");
  };
  const Result<manifest::Vin> vin = manifest::Vin::parse(peer.common_name);
  if (!vin) return refused();
  const Result<Car> car = load_car(services.store, *vin);
  if (!car && car.error().code() == ErrorCode::kNotFound) return refused();
  if (!car) return fail(car.error());
  if (!TRY(accept_vehicle_certificate(services, *car, peer.fingerprint))) return refused();
  return Caller{.kind = Caller::Kind::kVehicle,
                .account = {},
                .role = Role::kOwner,
                .vin = *vin,
                .proof = Caller::Proof::kCertificate};
}

}  // namespace

std::string Caller::name() const {
  switch (kind) {
    case Kind::kAnyone: return "anyone";
    case Kind::kAccount: return account;
    case Kind::kVehicle: return vin->text();
  }
  LAYBY_ASSERT(false);
}

Result<Caller> authenticate(const Services& services, const Request& request) {
  const std::string_view header = request.header("authorization");
  if (!header.empty()) return authenticate_token(services, request, header);
  if (request.peer) return authenticate_certificate(services, *request.peer);
  return Caller{};
}

Result<Caller> require_account(const Services& services, const Request& request) {
  Caller caller = TRY(authenticate(services, request));
  if (caller.kind == Caller::Kind::kAnyone)
    return fail(ErrorCode::kUnauthenticated, "a bearer token is needed");
  if (caller.kind == Caller::Kind::kVehicle) return fail(ErrorCode::kForbidden, "not for vehicles");
  return caller;
}

Result<Caller> require_role(const Services& services, const Request& request, Role role) {
  Caller caller = TRY(require_account(services, request));
  if (caller.role != role)
    return fail(ErrorCode::kForbidden, "only for the role {}", to_string(role));
  return caller;
}

Result<manifest::Vin> require_vehicle(const Services& services, const Request& request) {
  const Caller caller = TRY(authenticate(services, request));
  if (caller.kind == Caller::Kind::kAnyone)
    return fail(ErrorCode::kUnauthenticated, "a car's client certificate is needed");
  if (caller.kind != Caller::Kind::kVehicle)
    return fail(ErrorCode::kForbidden, "only for vehicles");
  if (services.check_ins != nullptr) services.check_ins->heard(services, *caller.vin);
  return *caller.vin;
}

Result<CarAccess> access_car(const Services& services, const Request& request) {
  const Caller caller = TRY(require_account(services, request));
  const manifest::Vin vin = TRY(manifest::Vin::parse(request.path_values.at("vin")));
  return access_car(services, caller, vin);
}

Result<CarAccess> access_car(const Services& services, const Caller& caller,
                             const manifest::Vin& vin) {
  Car car = TRY(load_car(services.store, vin));
  const auto as = [&](Standing standing) {
    return CarAccess{.caller = caller, .car = std::move(car), .standing = standing};
  };
  switch (caller.role) {
    case Role::kOperator: return as(Standing::kOperator);
    case Role::kPartner: return as(Standing::kPartner);
    case Role::kOwner: break;
  }
  if (car.owned_by(caller.account)) return as(Standing::kOwner);
  if (TRY(services.store.get(car_user_key(vin, caller.account)))) return as(Standing::kSecondary);
  return fail(ErrorCode::kNotFound, "no car {}", vin.text());
}

}  // namespace layby::server
