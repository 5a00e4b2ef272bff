#include "server/fleet/ecu_keys.h"

#include <algorithm>

#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/vehicle_state.h"

namespace layby::server {

namespace {

std::string past_key(const manifest::Vin& vin, const crypto::Ed25519PublicKey& key) {
  return car_prefix(vin) + "ecu-key/" + to_hex(key);
}

bool is_same(const CarEcu* one, const CarEcu& other) {
  return one != nullptr && one->public_key == other.public_key;
}

Result<std::uint64_t> past_counter(Change& change, const std::string& key) {
  const std::optional<std::string> text = TRY(change.get(key));
  if (!text) return 0;
  return manifest::uint_field(TRY(parse_stored(key, *text)), "counter");
}

// How far the car's last word has counted.
Result<void> keep_counters(Change& change, Car& car) {
  const std::optional<VehicleState> state = TRY(load_vehicle_state(change, car.vin));
  if (!state) return {};
  for (CarEcu& ecu : car.ecus) {
    const auto said = state->counters.find(ecu.serial);
    if (said != state->counters.end()) ecu.counter = std::max(ecu.counter, said->second);
  }
  return {};
}

// The counter of the report by which an ECU shows its key.
Result<std::uint64_t> read_proof(const NamedEcus& named, const CarEcu& ecu, UnixSeconds now) {
  const auto report = named.reports.find(ecu.serial);
  if (report == named.reports.end())
    return fail(ErrorCode::kBadSignature, "a report that it has signed is needed");
  const manifest::KnownEcu known{.key = manifest::PublicKey::from_ed25519(*ecu.public_key),
                                 .counter = ecu.counter,
                                 .hardware = ecu.hardware_id};
  const manifest::EcuReport said =
      TRY(manifest::verify_secondary_report(report->second, ecu.serial, known));
  TRY_VOID(manifest::check_report_time(said, now));
  return said.counter;
}

}  // namespace

Result<std::vector<Reason>> check_proofs(CarAffairs& affairs, std::vector<CarEcu>& next,
                                         const NamedEcus& named,
                                         const manifest::EcuSerial& primary) {
  std::vector<Reason> reasons;
  for (CarEcu& ecu : next) {
    if (ecu.serial == primary || is_same(find_ecu(affairs.car().ecus, ecu.serial), ecu)) continue;
    ecu.counter = TRY(past_counter(affairs.change(), past_key(affairs.car().vin, *ecu.public_key)));
    const Result<std::uint64_t> proof = read_proof(named, ecu, affairs.now());
    if (proof)
      ecu.counter = *proof;
    else
      reasons.push_back({"proof", fmt::format("ECU {} does not show that it holds its key: {}",
                                              ecu.serial.text(), proof.error().message())});
  }
  return reasons;
}

Result<void> change_keys(CarAffairs& affairs, std::vector<CarEcu> next) {
  Change& change = affairs.change();
  Car& car = affairs.car();
  TRY_VOID(keep_counters(change, car));
  for (const CarEcu& ecu : car.ecus) {
    if (!ecu.public_key || is_same(find_ecu(next, ecu.serial), ecu)) continue;
    change.put(past_key(car.vin, *ecu.public_key),
               to_stored({{"serial", ecu.serial.text()}, {"counter", ecu.counter}}));
  }
  for (CarEcu& ecu : next) {
    const CarEcu* before = find_ecu(car.ecus, ecu.serial);
    if (is_same(before, ecu)) {
      ecu.counter = before->counter;
      ecu.since = before->since;
      continue;
    }
    const std::string key = past_key(car.vin, *ecu.public_key);
    ecu.counter = std::max(ecu.counter, TRY(past_counter(change, key)));
    ecu.since = affairs.now();
  }
  car.ecus = std::move(next);
  return {};
}

}  // namespace layby::server
