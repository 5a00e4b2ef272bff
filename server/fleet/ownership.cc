#include "server/fleet/ownership.h"

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/consent.h"
#include "server/fleet/idempotency.h"
#include "server/fleet/invitation.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

Result<void> remove_user(CarAffairs& affairs, const std::string& account) {
  Change& change = affairs.change();
  const manifest::Vin vin = affairs.car().vin;
  if (!TRY(change.get(car_user_key(vin, account))))
    return fail(ErrorCode::kNotFound, "no such user of this car");
  change.erase(car_user_key(vin, account));
  change.erase(account_car_key(account, vin));
  affairs.record("user-removed", "", {{"account", account}});
  return {};
}

Result<void> end_ownership(CarAffairs& affairs) {
  Change& change = affairs.change();
  Car& car = affairs.car();
  if (!car.pairing || car.pairing->owner.empty()) return {};
  const std::string owner = car.pairing->owner;
  TRY_VOID(affairs.services().owner_leaves(affairs, owner));
  const std::string users = car_user_key(car.vin, "");
  for (const KeyValue& user : TRY(change.scan(users, after_prefix(users), kCarUsersMax)))
    TRY_VOID(remove_user(affairs, user.key.substr(users.size())));
  TRY_VOID(end_invitations(affairs));
  TRY_VOID(end_software_consent(affairs));
  change.erase(account_car_key(owner, car.vin));
  affairs.record("owner-left", "", {{"owner", owner}});
  affairs.tell_owner(Message::kHandedOver, "");
  car.pairing->owner.clear();
  car.pairing->owned_since = affairs.now();
  car.pairing->owned_from = affairs.last_record();
  save_car(change, car);
  return {};
}

void begin_ownership(CarAffairs& affairs, const std::string& account) {
  Car& car = affairs.car();
  LAYBY_ASSERT(car.pairing && car.pairing->owner.empty() && !account.empty());
  car.pairing->owner = account;
  car.pairing->owned_since = affairs.now();
  // The first owner has nobody before.
  if (car.pairing->owned_from > 0) car.pairing->owned_from = affairs.last_record();
  affairs.change().put(account_car_key(account, car.vin), R"({"as":"owner"})");
  save_car(affairs.change(), car);
}

Response post_hand_over(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_account(services, request));
    const manifest::Vin vin = TRY(manifest::Vin::parse(request.path_values.at("vin")));
    // The access is looked at within: who asks again has none any more, and gets the kept answer.
    return answer_once(
        services, request, caller, IdempotencyKeyIs::kOptional, AnswerHolds::kNoSecret,
        [&](Change& change) -> Answer<Response> {
          const CarAccess access = TRY(access_car(services, caller, vin));
          CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, caller.account));
          if (access.standing != Standing::kOwner || !affairs.car().owned_by(caller.account))
            return refuse(RefusalCode::kOwnerOnly, "only the owner of the car can hand it over");
          TRY_VOID(end_ownership(affairs));
          const Json answer{{"vin", vin.text()}, {"handed_over", format_utc(affairs.now())}};
          return json_response(200, answer);
        });
  }());
}

}  // namespace layby::server
