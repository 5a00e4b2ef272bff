#include "server/shop/owners_order.h"

#include <algorithm>

#include "base/assert.h"
#include "server/shop/order_due.h"

namespace layby::server {

namespace {

Refusal not_the_owner(bool secondary) {
  if (secondary)
    return {RefusalCode::kOwnerOnly,
            "only the owner of the car can order; a secondary user cannot"};
  return {RefusalCode::kOwnerOnly, "only the owner of the car can order for it"};
}

// Software is ordered by nobody.
bool placed_by(const Order& order, const std::string& account) {
  return order.account == account || order.account == kSystemAccount;
}

// Whether somebody else's name stands in it.
bool has_foreign_history(const Order& order, const std::string& account) {
  return std::any_of(order.history.begin(), order.history.end(), [&](const OrderHistory& step) {
    return step.who != account && step.who != kSystemAccount && step.who != order.vin.text();
  });
}

}  // namespace

Answer<CarAffairs> begin_as_owner(const Services& services, Change& change,
                                  const manifest::Vin& vin, const Caller& caller) {
  Result<CarAffairs> affairs = CarAffairs::begin(services, change, vin, caller.account);
  if (!affairs && affairs.error().code() == ErrorCode::kNotFound)
    return refuse(not_the_owner(false));
  if (!affairs) return fail(affairs.error());
  if (!affairs->car().owned_by(caller.account)) {
    const bool secondary = TRY(change.get(car_user_key(vin, caller.account))).has_value();
    return refuse(not_the_owner(secondary));
  }
  return std::move(*affairs);
}

Answer<OwnersOrder> load_as_owner(const Services& services, Change& change,
                                  const manifest::Vin& vin, const std::string& id,
                                  const Caller& caller) {
  Answer<CarAffairs> affairs = begin_as_owner(services, change, vin, caller);
  if (!affairs) return tl::unexpected(std::move(affairs.error()));
  Order order = TRY(load_order(change, vin, id));
  if (!placed_by(order, caller.account))
    return refuse(RefusalCode::kInherited, "an earlier owner of the car ordered it");
  TRY_VOID(settle(*affairs, order));
  return OwnersOrder{.affairs = std::move(*affairs), .order = std::move(order)};
}

OrderView view_for(const CarAccess& access, const Order& order) {
  const auto unless_inherited = [&](OrderView view) {
    const std::string owner = access.car.pairing ? access.car.pairing->owner : std::string();
    // A partner ordered it for this owner: all of it but the partner's name.
    if (placed_by(order, owner) && order.delivery == manifest::Delivery::kOffline)
      return OrderView::kSecondary;
    const bool own = placed_by(order, owner) && !has_foreign_history(order, owner);
    return own ? view : OrderView::kInherited;
  };
  switch (access.standing) {
    case Standing::kOwner: return unless_inherited(OrderView::kFull);
    // No more than the owner who has let them in.
    case Standing::kSecondary: return unless_inherited(OrderView::kSecondary);
    case Standing::kPartner:
    case Standing::kOperator: return OrderView::kFull;
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::server
