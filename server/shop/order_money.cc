#include "server/shop/order_money.h"

#include "manifest/json_value.h"

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

void give_back(CarAffairs& affairs, const Order& order, Period& period, std::string_view cause) {
  const bool billed = period.money == Money::kBilled;
  period.money = billed ? Money::kRefunded : Money::kReturned;
  Json data = money_json(order, period);
  data["of"] = billed ? "billing" : "authorisation";
  data["cause"] = std::string(cause);
  affairs.emit(EventType::kRefund, order.id.text(), data);
  affairs.tell_owner(Message::kRefunded, order.id.text());
}

}  // namespace

void authorise(CarAffairs& affairs, const Order& order, Period& period) {
  if (order.price.cents == 0) return;
  period.money = Money::kAuthorised;
  affairs.emit(EventType::kAuthorisation, order.id.text(), money_json(order, period));
}

void bill(CarAffairs& affairs, const Order& order, Period& period) {
  if (period.money != Money::kAuthorised) return;
  period.money = Money::kBilled;
  affairs.emit(EventType::kBilling, order.id.text(), money_json(order, period));
  affairs.tell_owner(Message::kInvoiced, order.id.text());
}

void give_back(CarAffairs& affairs, Order& order, GiveBack what, std::string_view cause) {
  for (Period& period : order.periods) {
    if (period.money == Money::kAuthorised ||
        (what == GiveBack::kAll && period.money == Money::kBilled))
      give_back(affairs, order, period, cause);
  }
}

void give_back_unused(CarAffairs& affairs, Order& order) {
  for (Period& period : order.periods) {
    if (period.money == Money::kAuthorised && period.until && *period.until <= affairs.now())
      give_back(affairs, order, period, "period-unused");
  }
}

}  // namespace layby::server
