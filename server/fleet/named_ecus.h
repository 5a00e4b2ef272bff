// The ECUs that a car names with their keys, and whether they are its own.
#pragma once

#include <map>
#include <vector>

#include "base/limits.h"
#include "manifest/json.h"
#include "server/fleet/car.h"
#include "server/http/problem.h"

namespace layby::server {

constexpr std::size_t kPairedEcusMax = 64;  // in one request: far more than a car has
// Of a request with a report of each, which in a vehicle manifest have the half of it.
constexpr std::uint64_t kNamedEcusBytesMax = 2 * kVehicleManifestBytesMax;

struct NamedEcus {
  std::vector<CarEcu> ecus;                      // all with a key
  std::map<manifest::EcuSerial, Bytes> reports;  // not verified yet; of those that sent one
};

// "ecus": [{"serial", "hardware_id", "public_key", "report"?}, …], at least one. kBadFormat,
// kTooLarge.
Result<NamedEcus> read_named_ecus(const manifest::Json& body);

// Null where it is not among them.
const CarEcu* find_ecu(const std::vector<CarEcu>& ecus, const manifest::EcuSerial& serial);

// The same ECUs with the keys that they are named with; another key has not counted yet. All of
// them must be named.
std::vector<CarEcu> with_keys(std::vector<CarEcu> ecus, const std::vector<CarEcu>& named);

// Why they are not those of `car`; nothing where they are. The serials and hardware ids must be
// those that the car was registered with, and the keys of all but `primary` those that it had: an
// exchanged part is never taken in silence (Uptane 2.1.0, 5.3.2; ecu_replacement.h). No two have
// one key.
std::vector<Reason> compare_ecus(const Car& car, const std::vector<CarEcu>& named,
                                 const manifest::EcuSerial& primary);

}  // namespace layby::server
