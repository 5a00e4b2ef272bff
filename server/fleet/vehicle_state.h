// What a car last said of itself, and nothing that anybody else says of it: the last accepted
// vehicle manifest (`v/<VIN>/report`).
#pragma once

#include <map>
#include <optional>
#include <string>

#include "manifest/report.h"
#include "server/fleet/car.h"
#include "server/store/change.h"

namespace layby::server {

// What an ECU that is not the primary said of itself.
struct SecondaryState {
  UnixSeconds time = 0;
  std::string agent;
  std::string attack;
  std::optional<manifest::InstalledImage> installed;  // in the slot of its hardware

  bool operator==(const SecondaryState&) const = default;
};

// An ECU that had no word in the last manifest. What it said before is still there.
struct SilentEcu {
  UnixSeconds since = 0;  // the server's time
  std::string reason;     // the primary's: a name of docs/error-codes.md
  bool is_told = false;   // the audit trail has it

  bool operator==(const SilentEcu&) const = default;
};
// Whoever wants to hold back what an ECU says has to silence it for a day; what comes and goes
// within one is nothing for the trail.
constexpr UnixSeconds kEcuSilenceSeconds = kDaySeconds;

struct VehicleState {
  UnixSeconds received = 0;
  UnixSeconds time = 0;                                   // as the primary says
  crypto::Digest256 manifest{};                           // SHA-256 of the manifest's bytes
  std::uint64_t acknowledged = 0;                         // the primary's counter
  std::map<manifest::EcuSerial, std::uint64_t> counters;  // of each ECU's last report
  std::string agent;
  std::string attack;
  manifest::ReEncoders re_encoders{};  // the primary's
  // Over all ECUs. Where several have one slot, the image with the lowest release counter: the slot
  // is as far as the last of them.
  std::map<manifest::Slot, manifest::InstalledImage> installed;
  std::map<manifest::EcuSerial, SecondaryState> secondaries{};
  std::map<manifest::EcuSerial, SilentEcu> silent{};
  std::map<manifest::FunctionId, manifest::FunctionReport> functions;  // over all ECUs

  // Whether the function's licence lets it run, as the car says.
  bool has_active(const manifest::FunctionId& function) const;

  // Whether the car runs this image in this slot: every ECU that has the slot has said so itself,
  // in the last report that it signed.
  bool runs(const manifest::Slot& slot, const crypto::Digest256& image, const Car& car) const;

  // What is known of an ECU no longer holds: it is another one now, or has another key.
  void forget(const manifest::EcuSerial& serial);
};

std::string vehicle_state_key(const manifest::Vin& vin);

// Nothing if the car has not spoken since it was paired.
Result<std::optional<VehicleState>> load_vehicle_state(const Store& store,
                                                       const manifest::Vin& vin);
Result<std::optional<VehicleState>> load_vehicle_state(Change& change, const manifest::Vin& vin);
void save_vehicle_state(Change& change, const manifest::Vin& vin, const VehicleState& state);

// Of the ECUs that are silent it has what they said last.
VehicleState make_vehicle_state(const manifest::VerifiedManifest& manifest, UnixSeconds received,
                                const std::optional<VehicleState>& last);

// For the car's page and the audit trail.
manifest::Json installed_json(const VehicleState& state);
manifest::Json installed_json(const std::map<manifest::Slot, manifest::InstalledImage>& installed);
// Software of the ECUs that are not the primary, by serial; empty where there are none.
manifest::Json secondaries_json(const VehicleState& state);
manifest::Json silent_json(const SilentEcu& silent);
manifest::Json functions_json(const VehicleState& state);

// Against the car's keys, the counters of its last manifest, and the time `now`. Errors of
// verify_vehicle_manifest, and of check_report_time for a new one; kForbidden for a car that is not
// paired.
Result<manifest::VerifiedManifest> verify_from_car(ByteSpan bytes, const Car& car, UnixSeconds now,
                                                   const std::optional<VehicleState>& last);

}  // namespace layby::server
