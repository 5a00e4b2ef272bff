// What a car is to do: `v/<VIN>/desired`, which becomes the Director's `custom.orders` word for
// word.
#pragma once

#include <string>
#include <vector>

#include "server/fleet/car_affairs.h"
#include "server/shop/order.h"

namespace layby::server {

std::string desired_key(const manifest::Vin& vin);

// Adds what the car is to do for this order, or puts it in the place of what it was to do. Each of
// these makes the Director's metadata of the car out of date in the same commit.
Result<void> desire_install(CarAffairs& affairs, const Order& order,
                            const std::vector<manifest::ImageName>& images,
                            const std::string& licence);
// A newer licence of a function that the car has already: nothing to download.
Result<void> desire_licence(CarAffairs& affairs, const Order& order, const std::string& licence);
Result<void> desire_deactivation(CarAffairs& affairs, const Order& order,
                                 const std::string& licence);
// Fine where it is not in the list.
Result<void> drop_desired(CarAffairs& affairs, const manifest::OrderId& id);

// The orders that the car is to install now, by id.
Result<std::vector<std::string>> desired_installs(const Store& store, const manifest::Vin& vin);

// Whether the car is to do anything about this order.
Result<bool> is_desired(CarAffairs& affairs, const manifest::OrderId& id);
// The images that it is to install for it; empty where it is to do something else, or nothing.
Result<std::vector<std::string>> images_to_install(CarAffairs& affairs,
                                                   const manifest::OrderId& id);

}  // namespace layby::server
