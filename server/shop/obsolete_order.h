// Software that a car can have no more as it was ordered. Nobody cancels such an order, and as long
// as it is under way its slots get nothing else.
#pragma once

#include "server/fleet/vehicle_state.h"
#include "server/shop/order.h"

namespace layby::server {

// Ends those of the car's software orders of which an image is not listed any more, or fits no ECU
// of the car any more. To be called with what the car has just reported: what it has begun goes on
// (P4.4). They are not held against their images.
Result<void> end_obsolete_orders(CarAffairs& affairs);

// Whether an ECU that it is for has come into the car, or has had another key, since it was
// ordered. What the car says of such an order may be about the ECU before.
bool is_for_newer_ecu(const Order& order, const Car& car);

}  // namespace layby::server
