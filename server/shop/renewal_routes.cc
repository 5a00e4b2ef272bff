#include "server/shop/renewal_routes.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/idempotency.h"
#include "server/fleet/json_answer.h"
#include "server/shop/order_change.h"
#include "server/shop/order_due.h"
#include "server/shop/owners_order.h"

namespace layby::server {

using manifest::Json;

namespace {

Answer<void> check_renewable(const Order& order) {
  if (!order.renewable)
    return refuse(RefusalCode::kNotRenewable, "this order has no term that could be renewed");
  if (is_coming(order.phase) || order.phase == OrderPhase::kActive) return {};
  return refuse(RefusalCode::kWrongState, fmt::format("the order is {}", to_string(order.phase)));
}

// A period after the running one is there already.
bool has_period_ahead(const Order& order, UnixSeconds now) {
  const Period& newest = order.periods.back();
  return order.periods.size() > 1 && newest.from && now < *newest.from;
}

Answer<Response> switch_renewal(OwnersOrder& own, bool wanted) {
  auto& [affairs, order] = own;
  if (Answer<void> fine = check_renewable(order); !fine)
    return tl::unexpected(std::move(fine.error()));
  const std::optional<UnixSeconds> before = contract_end(order);
  if (order.auto_renew != wanted) {
    order.auto_renew = wanted;
    affairs.record("renewal-switched", order.id.text(), {{"auto", wanted}});
    save_order(affairs, order);
    TRY_VOID(settle(affairs, order));  // on, within the last day: at once
  }
  Json json = order_json(order, OrderView::kFull);
  if (!wanted && before && has_period_ahead(order, affairs.now()))
    json["note"] = fmt::format(
        "the notice of one day is over: the next period is ordered already, it ends at {}",
        format_utc(*before));
  return json_response(200, json);
}

Answer<Response> renew_by_hand(OwnersOrder& own) {
  auto& [affairs, order] = own;
  if (Answer<void> fine = check_renewable(order); !fine)
    return tl::unexpected(std::move(fine.error()));
  if (order.phase != OrderPhase::kActive)
    return refuse(RefusalCode::kWrongState, fmt::format("the order is {}", to_string(order.phase)));
  if (order.term->kind == Term::Kind::kSubscription)
    return refuse(RefusalCode::kNotRenewable, "a subscription renews by itself: set the switch");
  if (has_period_ahead(order, affairs.now()))
    return refuse(RefusalCode::kTooEarly,
                  fmt::format("it is renewed already: the next period begins at {}",
                              format_utc(*order.periods.back().from)));
  if (affairs.now() < renewal_opens(order))
    return refuse(RefusalCode::kTooEarly,
                  fmt::format("it can be renewed from {} on", format_utc(renewal_opens(order))));
  if (order.periods.size() >= kPeriodsMax)
    return refuse(RefusalCode::kNotRenewable, "it was renewed too often");
  TRY_VOID(renew_order(affairs, order));
  return json_response(200, order_json(order, OrderView::kFull));
}

}  // namespace

Response put_renewal(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_account(services, request));
    const Json body = TRY(json_body(request));
    TRY_VOID(check_fields(body, {"auto"}));
    const std::optional<bool> wanted = TRY(flag_field(body, "auto"));
    if (!wanted) return fail(ErrorCode::kBadFormat, "\"auto\": true or false");
    const std::string& id = request.path_values.at("id");
    const manifest::Vin vin = TRY(find_order_vin(services.store, id));
    Answer<Response> answer =
        commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
          Answer<OwnersOrder> own = load_as_owner(services, change, vin, id, caller);
          if (!own) return tl::unexpected(std::move(own.error()));
          return switch_renewal(*own, *wanted);
        });
    if (answer) services.wake_sweeper();
    return answer;
  }());
}

Response post_renew(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_account(services, request));
    const std::string& id = request.path_values.at("id");
    const manifest::Vin vin = TRY(find_order_vin(services.store, id));
    // It costs something: it happens once, however often it is sent.
    Answer<Response> answer =
        answer_once(services, request, caller, IdempotencyKeyIs::kRequired, AnswerHolds::kNoSecret,
                    [&](Change& change) -> Answer<Response> {
                      Answer<OwnersOrder> own = load_as_owner(services, change, vin, id, caller);
                      if (!own) return tl::unexpected(std::move(own.error()));
                      return renew_by_hand(*own);
                    });
    if (answer) services.wake_sweeper();
    return answer;
  }());
}

}  // namespace layby::server
