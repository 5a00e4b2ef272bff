// A part of a car that was exchanged. The server knows each ECU by serial, hardware id and key;
// another one in its place is let in only when a partner or an operator has authorised just that,
// not long ago: `v/<VIN>/ecu-replacement/<serial of the old one>`.
#pragma once

#include <string>
#include <vector>

#include "server/fleet/car_affairs.h"
#include "server/fleet/refusal.h"
#include "server/http/message.h"

namespace layby::server {

constexpr UnixSeconds kReplacementSeconds = kDaySeconds;  // a day in the workshop

struct EcuReplacement {
  manifest::EcuSerial old_serial;
  manifest::EcuSerial serial;  // the same as the old one: the part stays and has a new key
  manifest::HardwareId hardware_id;
  std::string by;  // account
  UnixSeconds expires = 0;
};

// Those of the car that have not expired at `now`, by the old one's serial.
Result<std::vector<EcuReplacement>> load_replacements(const Store& store, const manifest::Vin& vin,
                                                      UnixSeconds now);

// Which of the authorised ones has taken place, by what the car names. An ECU that still names
// itself has not been replaced.
Result<std::vector<EcuReplacement>> done_replacements(Change& change, const Car& car,
                                                      const std::vector<CarEcu>& named,
                                                      UnixSeconds now);

// The car with the new ECUs, without keys as yet.
Car with_replacements(Car car, const std::vector<EcuReplacement>& done);

// They are used up; audit records, and the owner is told. What the old ones reported counts no
// longer, and what they were to install is signed anew.
Result<void> conclude_replacements(CarAffairs& affairs, const std::vector<EcuReplacement>& done);

// Different refusals of one car that are recorded within a day: a broken car has one or two, and
// somebody with a stolen key must not fill the disk by turns.
constexpr std::size_t kRefusalsADayMax = 8;

// That the car's word, a manifest or a list of ECUs, was refused: `v/<VIN>/refused`, and an audit
// record, but not again for the same error within a day, nor more than kRefusalsADayMax.
Result<void> note_refused(CarAffairs& affairs, std::string_view what, const Error& error);
// {"what","error","text","at"} of the last one that was recorded, or null.
Result<manifest::Json> refused_json(const Store& store, const manifest::Vin& vin);

// POST, DELETE /v1/cars/{vin}/ecus/{serial}/replacement: for partners and operators.
Response post_ecu_replacement(const Services& services, const Request& request);
Response delete_ecu_replacement(const Services& services, const Request& request);

// POST /v1/vehicle/ecus: the car names its ECUs with their keys. Lets in what has been authorised
// and changes nothing else; kWrongEcus with every reason otherwise, which is recorded. The primary
// itself is replaced by pairing: its certificate and seal key go with it.
Response post_vehicle_ecus(const Services& services, const Request& request);

}  // namespace layby::server
