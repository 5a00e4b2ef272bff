// What happens to an order, with everything that follows from it: state, money, licence, what the
// car is to do, deadline, messages and audit record, all in one change.
#pragma once

#include "manifest/json.h"
#include "server/fleet/car_affairs.h"
#include "server/shop/order.h"

namespace layby::server {

// An order for the car with a new id; what is bought is for the caller to fill in.
Order make_order(CarAffairs& affairs, manifest::ImageKind kind, const std::string& account);

// Puts a new order into the change: `ordered`, or `staged` where all its payloads are published
// already. `order` comes with what was bought; state, times, history and money are set here.
Result<Order> place_order(CarAffairs& affairs, Order order);

// Brings `cause` about. Moves the order and saves it, or leaves it, or says why not (kTooLate,
// kWrong): see order_state.h. `details` go into the audit record. `happened`: since when it is so,
// where that can be before now; a term that counts from the activation begins then.
Result<OrderStep::Kind> apply_cause(CarAffairs& affairs, Order& order, OrderCause cause,
                                    const manifest::Json& details,
                                    std::optional<UnixSeconds> happened = std::nullopt);

// Stages the order if it is `ordered` and every image has its whole-file payload. If not, it is
// woken by stage_waiting_orders when the payload comes: both look at the same key, so one of them
// sees the other.
Result<void> stage_if_ready(CarAffairs& affairs, Order& order);

// With its one entry in the index of deadlines, which moves to what is due next.
void save_order(CarAffairs& affairs, Order& order);

}  // namespace layby::server
