// Whether a car is reported stolen (P1.12): `v/<VIN>/stolen`. What follows for its orders: shop.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "manifest/vin.h"
#include "server/fleet/car_affairs.h"

namespace layby::server {

struct StolenReport {
  std::string who;  // account
  UnixSeconds at = 0;
};

std::string stolen_key(const manifest::Vin& vin);
Result<std::optional<StolenReport>> load_stolen(Change& change, const manifest::Vin& vin);
Result<std::optional<StolenReport>> load_stolen(const Store& store, const manifest::Vin& vin);

// With its audit record and message.
void report_stolen(CarAffairs& affairs);
void lift_stolen(CarAffairs& affairs);

}  // namespace layby::server
