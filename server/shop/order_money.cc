#include "server/shop/order_money.h"

#include "manifest/json_value.h"
#include "server/shop/order_message.h"

namespace layby::server {

using manifest::Json;

namespace {

Json money_json(const Order& order, const Period& period) {
  Json json{{"amount_cents", order.price.cents},
            {"currency", order.price.currency},
            {"period", period.number}};
  if (order.product) json["product"] = *order.product;
  return json;
}

Result<void> give_back(CarAffairs& affairs, const Order& order, Period& period,
                       std::string_view cause) {
  const bool billed = period.money == Money::kBilled;
  period.money = billed ? Money::kRefunded : Money::kReturned;
  Json data = money_json(order, period);
  data["of"] = billed ? "billing" : "authorisation";
  data["cause"] = std::string(cause);
  affairs.emit(EventType::kRefund, order.id.text(), data, order.account);
  return tell(affairs, order, Message::kRefunded);
}

}  // namespace

void authorise(CarAffairs& affairs, const Order& order, Period& period) {
  if (order.price.cents == 0) return;
  period.money = Money::kAuthorised;
  affairs.emit(EventType::kAuthorisation, order.id.text(), money_json(order, period),
               order.account);
}

Result<void> bill(CarAffairs& affairs, const Order& order, Period& period) {
  if (period.money != Money::kAuthorised) return {};
  period.money = Money::kBilled;
  affairs.emit(EventType::kBilling, order.id.text(), money_json(order, period), order.account);
  return tell(affairs, order, Message::kInvoiced);
}

Result<void> give_back(CarAffairs& affairs, Order& order, GiveBack what, std::string_view cause) {
  for (Period& period : order.periods) {
    if (period.money == Money::kAuthorised ||
        (what == GiveBack::kAll && period.money == Money::kBilled))
      TRY_VOID(give_back(affairs, order, period, cause));
  }
  return {};
}

Result<void> give_back_unused(CarAffairs& affairs, Order& order) {
  for (Period& period : order.periods) {
    if (period.money == Money::kAuthorised && period.until && *period.until <= affairs.now())
      TRY_VOID(give_back(affairs, order, period, "period-unused"));
  }
  return {};
}

Result<bool> give_back_ahead(CarAffairs& affairs, Order& order, std::string_view cause) {
  bool any = false;
  while (order.periods.size() > 1) {
    Period& newest = order.periods.back();
    const bool ahead = newest.from && affairs.now() < *newest.from;
    // What costs nothing is nothing that the old owner has paid for.
    if (!ahead || (newest.money != Money::kAuthorised && newest.money != Money::kNone)) break;
    if (newest.money == Money::kAuthorised) TRY_VOID(give_back(affairs, order, newest, cause));
    order.periods.pop_back();
    any = true;
  }
  return any;
}

}  // namespace layby::server
