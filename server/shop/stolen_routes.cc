#include "server/shop/stolen_routes.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"
#include "server/fleet/stolen.h"
#include "server/shop/desired.h"
#include "server/shop/order_change.h"
#include "server/shop/order_due.h"
#include "server/shop/order_licence.h"

namespace layby::server {

using manifest::Json;

namespace {

// What was on its way out of the car stays, and no clock ends anything.
Result<void> hold(CarAffairs& affairs, Order& order) {
  TRY_VOID(settle(affairs, order));
  order.held = true;
  if (is_leaving(order.phase)) TRY_VOID(drop_desired(affairs, order.id));
  save_order(affairs, order);
  return {};
}

// Everything that was held back happens now; a term that is over ends with the next look at the
// clock, which is ours.
Result<void> release(CarAffairs& affairs, Order& order) {
  order.held = false;
  if (is_leaving(order.phase)) TRY_VOID(switch_off(affairs, order));
  save_order(affairs, order);
  if (!affairs.car().owned_by(order.account))
    TRY_VOID(apply_cause(affairs, order, OrderCause::kOwnerChanged, Json::object()));
  return settle(affairs, order);
}

enum class Word { kStolen, kFound };

Answer<CarAccess> access_as_reporter(const Services& services, const Request& request) {
  CarAccess access = TRY(access_car(services, request));
  if (access.standing == Standing::kSecondary)
    return refuse(RefusalCode::kOwnerOnly, "only the owner, partners and operators may do this");
  return access;
}

Answer<Response> change_report(const Services& services, const Request& request, Word word) {
  Answer<CarAccess> access = access_as_reporter(services, request);
  if (!access) return tl::unexpected(std::move(access.error()));
  const manifest::Vin vin = access->car.vin;
  const bool stolen = word == Word::kStolen;
  return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
    CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, access->caller.account));
    // Sold in the meantime.
    if (access->standing == Standing::kOwner && !affairs.car().owned_by(access->caller.account))
      return fail(ErrorCode::kNotFound, "no car {}", vin.text());
    const std::optional<StolenReport> before = TRY(load_stolen(change, vin));
    if (before.has_value() != stolen) {
      if (stolen)
        report_stolen(affairs);
      else
        lift_stolen(affairs);
      for (Order& order : TRY(load_orders(change, vin))) {
        if (!order.protects || is_final(order.phase)) continue;
        TRY_VOID(stolen ? hold(affairs, order) : release(affairs, order));
      }
    }
    Json answer{{"stolen", stolen}};
    if (stolen) answer["since"] = format_utc(before ? before->at : affairs.now());
    return json_response(200, answer);
  });
}

}  // namespace

Response post_stolen(const Services& services, const Request& request) {
  return to_response(change_report(services, request, Word::kStolen));
}

Response delete_stolen(const Services& services, const Request& request) {
  Answer<Response> answer = change_report(services, request, Word::kFound);
  if (answer) services.wake_sweeper();
  return to_response(std::move(answer));
}

}  // namespace layby::server
