// Buying: an owner's order for one car, checked and placed in one change.
#pragma once

#include "server/fleet/auth.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/refusal.h"
#include "server/shop/order.h"
#include "server/shop/product.h"

namespace layby::server {

// Regions in one order that a partner delivers (P3.1): as many as a car reports and a director's
// targets name without coming near their limits.
constexpr std::size_t kOfflineRegionsMax = 100;

// POST /v1/orders
Response post_order(const Services& services, const Request& request);
// POST /v1/orders/{id}/cancel
Response post_cancel(const Services& services, const Request& request);
// POST /v1/orders/{id}/withdraw
Response post_withdraw(const Services& services, const Request& request);

// A map order of these regions, with every check of P3.1; `account` gets the messages.
Answer<Order> order_regions(CarAffairs& affairs, const std::vector<std::string>& names,
                            const std::string& account);

// The newest listed image of a slot for any control unit of the car.
Result<std::optional<Image>> newest_for_car(const Store& store, const Car& car,
                                            const manifest::Slot& slot);

// Whether what the car holds in the slot is older than `image`, or nothing.
bool is_newer(const Image& image, const VehicleState* state);

// Why a new order for the function or slot cannot be placed beside those of the car that are open:
// kAlreadyOrdered, or an error where there are too many of them.
Answer<void> check_not_under_way(const std::vector<Order>& orders, const manifest::Slot& slot);

}  // namespace layby::server
