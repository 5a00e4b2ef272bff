// The owner's word on the own car and the own orders.
#pragma once

#include <string>

#include "server/fleet/auth.h"
#include "server/fleet/refusal.h"
#include "server/shop/order.h"

namespace layby::server {

// Only the owner (P1.1). One refusal whether the car exists or not: a VIN must not be found out.
Answer<CarAffairs> begin_as_owner(const Services& services, Change& change,
                                  const manifest::Vin& vin, const Caller& caller);

struct OwnersOrder {
  CarAffairs affairs;
  Order order;  // with everything done that was due
};

// An order that the owner placed: one of an earlier owner is looked at, and that is all (P1.10).
Answer<OwnersOrder> load_as_owner(const Services& services, Change& change,
                                  const manifest::Vin& vin, const std::string& id,
                                  const Caller& caller);

// What of an order somebody with this access may see.
OrderView view_for(const CarAccess& access, const Order& order);

}  // namespace layby::server
