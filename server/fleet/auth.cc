#include "server/fleet/auth.h"

#include "base/assert.h"

namespace layby::server {

namespace {

constexpr std::string_view kBearer = "Bearer ";

Result<Caller> authenticate_token(const Services& services, std::string_view header) {
  if (header.substr(0, kBearer.size()) != kBearer)
    return fail(ErrorCode::kUnauthenticated, "Authorization: only Bearer tokens are taken");
  std::optional<TokenHolder> holder =
      TRY(find_token(services.store, header.substr(kBearer.size()), services.clock.now()));
  if (!holder) return fail(ErrorCode::kUnauthenticated, "the token is unknown, revoked or expired");
  return Caller{.kind = Caller::Kind::kAccount,
                .account = std::move(holder->account),
                .role = holder->role,
                .vin = std::nullopt};
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
  if (!car->pairing || !crypto::equal_constant_time(car->pairing->certificate, peer.fingerprint))
    return refused();
  return Caller{.kind = Caller::Kind::kVehicle, .account = {}, .role = Role::kOwner, .vin = *vin};
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
  if (!header.empty()) return authenticate_token(services, header);
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
