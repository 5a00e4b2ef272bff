#include "server/shop/owner_change.h"

#include "manifest/json_value.h"
#include "server/shop/order_change.h"
#include "server/shop/order_due.h"
#include "server/shop/order_licence.h"
#include "server/shop/order_money.h"

namespace layby::server {

using manifest::Json;

namespace {

// What is paid for and runs stays. A period that is only ordered lies in somebody else's time.
Result<void> end_with_running_period(CarAffairs& affairs, Order& order) {
  if (order.phase != OrderPhase::kActive) return {};
  if (!TRY(give_back_ahead(affairs, order, to_string(OrderCause::kOwnerChanged)))) return {};
  order.active_until = contract_end(order);
  return relicense(affairs, order);
}

Result<void> leave_behind(CarAffairs& affairs, Order& order, const Json& details) {
  TRY_VOID(settle(affairs, order));
  if (order.auto_renew || order.renewable) {
    order.auto_renew = false;
    order.renewable = false;  // there is nobody any more who could
    TRY_VOID(end_with_running_period(affairs, order));
    save_order(affairs, order);
  }
  // Maps and software that lie in the car stay there: nothing of them is the owner's. What protects
  // a car that is reported stolen leaves with the report.
  const bool stays = order.kind != manifest::ImageKind::kFunction && !awaits_download(order.phase);
  if (stays || order.held) return {};
  TRY_VOID(apply_cause(affairs, order, OrderCause::kOwnerChanged, details));
  return {};
}

}  // namespace

Result<void> owner_leaves(CarAffairs& affairs, std::string_view account) {
  const Json details{{"account", std::string(account)}};
  for (Order& order : TRY(load_orders(affairs.change(), affairs.car().vin))) {
    if (!is_final(order.phase)) TRY_VOID(leave_behind(affairs, order, details));
  }
  return {};
}

}  // namespace layby::server
