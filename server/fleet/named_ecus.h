// The ECUs that a car names with their keys, and whether they are its own.
#pragma once

#include <vector>

#include "manifest/json.h"
#include "server/fleet/car.h"
#include "server/http/problem.h"

namespace layby::server {

constexpr std::size_t kPairedEcusMax = 64;  // in one request: far more than a car has

// "ecus": [{"serial", "hardware_id", "public_key"}, …], at least one. kBadFormat, kTooLarge.
Result<std::vector<CarEcu>> read_named_ecus(const manifest::Json& body);

// Null where it is not among them.
const CarEcu* find_ecu(const std::vector<CarEcu>& ecus, const manifest::EcuSerial& serial);

// Why they are not those of `car`; nothing where they are. The serials and hardware ids must be
// those that the car was registered with, and the keys of all but `primary` those that it had: an
// exchanged part is never taken in silence (Uptane 2.1.0, 5.3.2; ecu_replacement.h).
std::vector<Reason> compare_ecus(const Car& car, const std::vector<CarEcu>& named,
                                 const manifest::EcuSerial& primary);

}  // namespace layby::server
