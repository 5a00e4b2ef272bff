#include "server/fleet/named_ecus.h"

#include <algorithm>
#include <set>

#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

Result<CarEcu> read_ecu(const Json& json) {
  TRY_VOID(check_fields(json, {"serial", "hardware_id", "public_key", "report"}));
  auto serial = TRY(manifest::text_field(json, "serial").and_then(manifest::EcuSerial::parse));
  auto hardware_id =
      TRY(manifest::text_field(json, "hardware_id").and_then(manifest::HardwareId::parse));
  auto public_key = TRY(manifest::text_field(json, "public_key").and_then(array_from_hex<32>));
  return CarEcu{.serial = std::move(serial),
                .hardware_id = std::move(hardware_id),
                .public_key = std::move(public_key)};
}

}  // namespace

Result<NamedEcus> read_named_ecus(const Json& body) {
  NamedEcus read;
  const Json& named = *TRY(manifest::array_field(body, "ecus"));
  if (named.size() > kPairedEcusMax)
    return fail(ErrorCode::kTooLarge, "\"ecus\": at most {}", kPairedEcusMax);
  for (const Json& ecu : named) {
    if (!ecu.is_object()) return fail(ErrorCode::kBadFormat, "\"ecus\": objects");
    read.ecus.push_back(TRY(read_ecu(ecu)));
    const Json* report = manifest::find_field(ecu, "report");
    if (report == nullptr) continue;
    const std::string text = TRY(manifest::to_wire(*report));
    read.reports.emplace(read.ecus.back().serial, to_bytes(text));
  }
  if (read.ecus.empty()) return fail(ErrorCode::kBadFormat, "\"ecus\": at least one");
  return read;
}

const CarEcu* find_ecu(const std::vector<CarEcu>& ecus, const manifest::EcuSerial& serial) {
  const auto found = std::ranges::find(ecus, serial, &CarEcu::serial);
  return found == ecus.end() ? nullptr : &*found;
}

std::vector<CarEcu> with_keys(std::vector<CarEcu> ecus, const std::vector<CarEcu>& named) {
  for (CarEcu& ecu : ecus) {
    const auto& key = find_ecu(named, ecu.serial)->public_key;
    if (ecu.public_key != key) ecu.counter = 0;
    ecu.public_key = key;
  }
  return ecus;
}

std::vector<Reason> compare_ecus(const Car& car, const std::vector<CarEcu>& named,
                                 const manifest::EcuSerial& primary) {
  std::vector<Reason> reasons;
  // A new certificate and seal key come with a new key of the primary, and only of the one that it
  // has been.
  const auto may_change_key = [&](const CarEcu& ecu) {
    return ecu.serial == primary && (!car.pairing || car.pairing->primary == primary);
  };
  for (const CarEcu& ecu : car.ecus) {
    const CarEcu* said = find_ecu(named, ecu.serial);
    if (said == nullptr)
      reasons.push_back({"missing", "an ECU of the car is missing"});
    else if (said->hardware_id != ecu.hardware_id)
      reasons.push_back({"hardware-id", fmt::format("ECU {} is not a {} in this car",
                                                    ecu.serial.text(), said->hardware_id.text())});
    else if (!may_change_key(ecu) && ecu.public_key && said->public_key != ecu.public_key)
      reasons.push_back({"key", fmt::format("ECU {} has another key: its replacement is for a "
                                            "partner to authorise",
                                            ecu.serial.text())});
  }
  for (const CarEcu& ecu : named) {
    if (find_ecu(car.ecus, ecu.serial) == nullptr)
      reasons.push_back(
          {"unknown", fmt::format("the car was built without {}", ecu.serial.text())});
  }
  std::set<crypto::Ed25519PublicKey> keys;
  for (const CarEcu& ecu : named) keys.insert(*ecu.public_key);
  if (keys.size() != named.size()) reasons.push_back({"key", "each ECU has a key of its own"});
  if (find_ecu(named, primary) == nullptr || named.size() != car.ecus.size())
    reasons.push_back({"primary", "the primary must be one of the ECUs, each named once"});
  return reasons;
}

}  // namespace layby::server
