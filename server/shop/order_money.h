// The money of an order, period by period. Each step is one event, and `money` of a period only
// moves forward: authorised -> billed -> refunded, or authorised -> returned. Events name the
// account that placed the order: it pays, whoever owns the car now. Whoever calls saves the order
// in the same change.
#pragma once

#include <string_view>

#include "server/fleet/car_affairs.h"
#include "server/shop/order.h"

namespace layby::server {

// Event `authorisation`, where the order costs something.
void authorise(CarAffairs& affairs, const Order& order, Period& period);

// Event `billing`, message `invoiced`: once, and never after it was given back.
Result<void> bill(CarAffairs& affairs, const Order& order, Period& period);

enum class GiveBack {
  kAll,       // what is billed, too
  kUnbilled,  // only what is authorised
};
// Event `refund` and message `refunded` for each period of which there is something to give back.
Result<void> give_back(CarAffairs& affairs, Order& order, GiveBack what, std::string_view cause);

// Those periods that were over before the car had their licence.
Result<void> give_back_unused(CarAffairs& affairs, Order& order);

// The periods that are authorised and have not begun: given back and taken off the order, because
// nobody is there any more who would have them. Gives whether there were any.
Result<bool> give_back_ahead(CarAffairs& affairs, Order& order, std::string_view cause);

}  // namespace layby::server
