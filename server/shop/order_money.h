// The money of an order, period by period. Each step is one event, and `money` of a period only
// moves forward: authorised -> billed -> refunded, or authorised -> returned. Whoever calls saves
// the order in the same change.
#pragma once

#include <string_view>

#include "server/fleet/car_affairs.h"
#include "server/shop/order.h"

namespace layby::server {

// Event `authorisation`, where the order costs something.
void authorise(CarAffairs& affairs, const Order& order, Period& period);

// Event `billing`, message `invoiced`: once, and never after it was given back.
void bill(CarAffairs& affairs, const Order& order, Period& period);

enum class GiveBack {
  kAll,       // what is billed, too
  kUnbilled,  // only what is authorised
};
// Event `refund` and message `refunded` for each period of which there is something to give back.
void give_back(CarAffairs& affairs, Order& order, GiveBack what, std::string_view cause);

// Those periods that were over before the car had their licence.
void give_back_unused(CarAffairs& affairs, Order& order);

}  // namespace layby::server
