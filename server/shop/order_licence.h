// The licences of a function's order: each has the next counter of the function in this car, and
// goes to the car with what it is to do. A car that is not paired gets none; it is made when the
// car has keys again (renew_seal). Whoever calls saves the order in the same change.
#pragma once

#include "server/fleet/car_affairs.h"
#include "server/fleet/vehicle_state.h"
#include "server/shop/order.h"

namespace layby::server {

// The package, with an active licence once the order is downloaded.
Result<void> offer(CarAffairs& affairs, Order& order);

// A deactivation with a revoking licence; where no licence had gone out there is nothing to do.
Result<void> switch_off(CarAffairs& affairs, Order& order);

// For an active order: a licence until `order.active_until`, and no package with it.
Result<void> relicense(CarAffairs& affairs, Order& order);
// The same with the package, which the car has lost.
Result<void> reinstall(CarAffairs& affairs, Order& order);

// Where a newer release of the function names another licence key than the one that the car has
// from the order's package, the car is offered that release, with a licence of its key, for
// nothing: by no other way it comes to know the key (docs/formats.md, "Licence"). Its function goes
// on under the old one until then, and so do its renewals. Gives whether it did.
// Where one that is offered was withdrawn meanwhile, a newer one takes its place, or nothing.
enum class OrderIs { kChanged, kAsBefore };
Result<OrderIs> exchange_licence_key(CarAffairs& affairs, Order& order, const VehicleState& state);
// The same for all orders of the car, which are saved.
Result<void> exchange_licence_keys(CarAffairs& affairs, const VehicleState& state);
// What the car shows of an exchange: that it runs the release, or obeys its key all the same. Makes
// anew what was on its way under the key of before.
Result<OrderIs> note_exchange(CarAffairs& affairs, Order& order, const VehicleState& state);

// The order that the newest licence of a function in a car was for.
Result<std::optional<std::string>> newest_licensed(Change& change, const manifest::Vin& vin,
                                                   const manifest::FunctionId& function);

// Makes what the car is to have anew, where its keys are not those that the licence was sealed to:
// an active function whose package is not in the car any more is offered whole, for nothing. Gives
// whether it did. `state` is what the car with the new keys says.
enum class Sealed { kAnew, kAsBefore };
Result<Sealed> renew_seal(CarAffairs& affairs, Order& order, const VehicleState& state);

}  // namespace layby::server
