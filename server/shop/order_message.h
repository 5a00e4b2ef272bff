// Who is told what of an order (P1.11).
#pragma once

#include "manifest/json_value.h"
#include "server/fleet/car_affairs.h"
#include "server/shop/order.h"

namespace layby::server {

// The account that placed it, also when the car is somebody else's by now; of software, which
// nobody orders, the car's owner. Of a function that ends in a car the present owner is told too.
// Nobody where the account is erased. `data` goes beside `message` in the event's data: an object.
Result<void> tell(CarAffairs& affairs, const Order& order, Message message,
                  manifest::Json data = manifest::Json::object());

}  // namespace layby::server
