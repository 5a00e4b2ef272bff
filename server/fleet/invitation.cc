#include "server/fleet/invitation.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/deadline.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/one_time_code.h"
#include "server/fleet/ownership.h"
#include "server/fleet/refusal.h"

namespace layby::server {

using manifest::Json;

namespace {

std::string invitation_key(std::string_view digest) {
  return "pi/" + std::string(digest);
}

// `v/<VIN>/invitation/<digest>`: those that are open.
std::string car_invitation_key(const manifest::Vin& vin, std::string_view digest) {
  return car_prefix(vin) + "invitation/" + std::string(digest);
}

Response no_content() {
  Response response;
  response.status = 204;
  return response;
}

Answer<CarAffairs> begin_as_owner(const Services& services, Change& change,
                                  const manifest::Vin& vin, const Caller& caller) {
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, caller.account));
  if (!affairs.car().owned_by(caller.account))
    return refuse(RefusalCode::kOwnerOnly, "only the owner of the car may do this");
  return affairs;
}

struct Invitation {
  manifest::Vin vin;
  std::string owner;  // who invited
};

Result<std::optional<Invitation>> load_invitation(Change& change, std::string_view digest,
                                                  UnixSeconds now) {
  const std::optional<std::string> text = TRY(change.get(invitation_key(digest)));
  if (!text) return std::nullopt;
  const Json json = TRY(parse_stored("invitation", *text));
  auto vin = TRY(manifest::text_field(json, "vin").and_then(manifest::Vin::parse));
  auto owner = TRY(manifest::text_field(json, "owner"));
  if (TRY(manifest::time_field(json, "expires")) <= now) return std::nullopt;
  return Invitation{.vin = std::move(vin), .owner = std::move(owner)};
}

// Nothing where the invitation does not hold any more.
Answer<std::optional<Response>> join(const Services& services, Change& change, const Caller& caller,
                                     const std::string& digest) {
  const auto invitation = TRY(load_invitation(change, digest, services.clock.now()));
  if (!invitation) return std::nullopt;
  const manifest::Vin& vin = invitation->vin;
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, caller.account));
  if (!affairs.car().owned_by(invitation->owner)) return std::nullopt;
  if (caller.account == invitation->owner)
    return fail(ErrorCode::kInvalidArgument, "this account owns the car");
  const std::string users = car_user_key(vin, "");
  if (TRY(change.scan(users, after_prefix(users), kCarUsersMax)).size() == kCarUsersMax)
    return fail(ErrorCode::kTooLarge, "at most {} secondary users", kCarUsersMax);
  change.erase(invitation_key(digest));
  change.erase(car_invitation_key(vin, digest));
  change.put(car_user_key(vin, caller.account), to_stored({{"since", format_utc(affairs.now())}}));
  change.put(account_car_key(caller.account, vin), R"({"as":"secondary"})");
  affairs.record("user-added", "", {{"account", caller.account}});
  affairs.tell_owner(Message::kUserJoined, "", {{"user", caller.account}});
  return json_response(200, {{"vin", vin.text()}});
}

}  // namespace

std::string invitation_tries_key(std::string_view account) {
  return "it/" + std::string(account);
}

Result<void> end_invitations(CarAffairs& affairs) {
  const std::string prefix = car_invitation_key(affairs.car().vin, "");
  Change& change = affairs.change();
  for (const KeyValue& open :
       TRY(change.scan(prefix, after_prefix(prefix), kInvitationsPerCarMax))) {
    change.erase(invitation_key(open.key.substr(prefix.size())));
    change.erase(open.key);
  }
  return {};
}

Response post_invitation(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    const std::string code = make_code();
    const std::string digest = digest_of_typed_code(code);
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      Answer<CarAffairs> affairs = begin_as_owner(services, change, access.car.vin, access.caller);
      if (!affairs) return tl::unexpected(std::move(affairs.error()));
      const manifest::Vin& vin = access.car.vin;
      const std::string prefix = car_invitation_key(vin, "");
      if (TRY(change.scan(prefix, after_prefix(prefix), kInvitationsPerCarMax)).size() ==
          kInvitationsPerCarMax)
        return fail(ErrorCode::kTooLarge, "at most {} open invitations to a car",
                    kInvitationsPerCarMax);
      const UnixSeconds expires = affairs->now() + kInvitationSeconds;
      change.put(invitation_key(digest), to_stored({{"vin", vin.text()},
                                                    {"owner", access.caller.account},
                                                    {"expires", format_utc(expires)}}));
      change.put(car_invitation_key(vin, digest), "{}");
      forget_at(change, expires, digest.substr(0, 32), invitation_key(digest));
      forget_at(change, expires, digest.substr(32), car_invitation_key(vin, digest));
      affairs->record("user-invited", "", {{"expires", format_utc(expires)}});
      return json_response(201, {{"code", code}, {"expires", format_utc(expires)}});
    });
  }());
}

Response delete_invitations(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      Answer<CarAffairs> affairs = begin_as_owner(services, change, access.car.vin, access.caller);
      if (!affairs) return tl::unexpected(std::move(affairs.error()));
      TRY_VOID(end_invitations(*affairs));
      affairs->record("invitations-ended", "", Json::object());
      return no_content();
    });
  }());
}

Response post_acceptance(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_role(services, request, Role::kOwner));
    const Json body = TRY(json_body(request));
    TRY_VOID(check_fields(body, {"code"}));
    const std::string digest = digest_of_typed_code(TRY(manifest::text_field(body, "code")));
    const std::string tries_key = invitation_tries_key(caller.account);
    const UnixSeconds now = services.clock.now();
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      // An account that is erased meanwhile must not come back as a user.
      TRY_VOID(load_account(change, caller.account).map([](auto&&) {}));
      const WrongTries tries = TRY(load_wrong_tries(change, tries_key, now));
      if (tries.locked())
        return refuse(RefusalCode::kCodeLocked, "too many wrong codes; try again in an hour");
      Answer<std::optional<Response>> joined = join(services, change, caller, digest);
      if (!joined) return tl::unexpected(std::move(joined.error()));
      if (*joined) {
        change.erase(tries_key);
        return std::move(**joined);
      }
      // Counted, so it is committed: it goes back as a response.
      count_wrong_try(change, tries_key, tries, now);
      return to_response(
          refuse(RefusalCode::kWrongCode, "the code is wrong, used up or older than a week"));
    });
  }());
}

Response get_car_users(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    if (access.standing != Standing::kOwner)
      return refuse(RefusalCode::kOwnerOnly, "only the owner of the car may do this");
    Json users = Json::array();
    const std::string prefix = car_user_key(access.car.vin, "");
    for (const KeyValue& user :
         TRY(services.store.scan(prefix, after_prefix(prefix), kCarUsersMax))) {
      const Json stored = TRY(parse_stored(user.key, user.value));
      auto since = TRY(manifest::text_field(stored, "since"));
      users.push_back({{"account", user.key.substr(prefix.size())}, {"since", std::move(since)}});
    }
    return json_response(200, {{"users", std::move(users)}});
  }());
}

Response delete_car_user(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    const std::string account = request.path_values.at("account");
    const bool leaves_by_itself =
        access.standing == Standing::kSecondary && account == access.caller.account;
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      CarAffairs affairs =
          TRY(CarAffairs::begin(services, change, access.car.vin, access.caller.account));
      if (!leaves_by_itself && !affairs.car().owned_by(access.caller.account))
        return refuse(RefusalCode::kOwnerOnly, "only the owner of the car may do this");
      TRY_VOID(remove_user(affairs, account));
      if (leaves_by_itself) affairs.tell_owner(Message::kUserLeft, "", {{"user", account}});
      return no_content();
    });
  }());
}

}  // namespace layby::server
