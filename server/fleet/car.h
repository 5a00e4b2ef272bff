// A car as the fleet knows it: what it was built as, who owns it, and by which keys it speaks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "crypto/digest.h"
#include "crypto/keys.h"
#include "crypto/sealed_box.h"
#include "manifest/names.h"
#include "manifest/vin.h"
#include "server/store/change.h"
#include "server/store/store.h"

namespace layby::server {

struct CarEcu {
  manifest::EcuSerial serial;
  manifest::HardwareId hardware_id;
  std::optional<crypto::Ed25519PublicKey> public_key;  // from pairing
  std::uint64_t counter =
      0;                  // its reports count above this one; what the last one said may be more
  UnixSeconds since = 0;  // with this key
};

// What pairing adds; all of it but the time of the ownership is replaced when the car is paired
// again.
struct Pairing {
  std::string owner;             // account id; empty: its owner has left and nobody has followed
  UnixSeconds owned_since = 0;   // since when it is this owner's, or nobody's
  std::uint64_t owned_from = 0;  // the last audit record of the time before
  manifest::EcuSerial primary;
  crypto::Digest256 certificate;   // fingerprint: the one certificate that is the car's now
  crypto::SealPublicKey seal_key;  // licences are sealed to it
  UnixSeconds paired_at = 0;
  UnixSeconds poll_seconds = 0;  // that the car was told; 0: by an earlier version, not known
  // A renewed certificate that the car has not used yet; the first use ends the one above.
  std::optional<crypto::Digest256> next_certificate = {};
  std::optional<UnixSeconds> revoked_at = {};  // neither certificate opens the door since
};

struct Car {
  manifest::Vin vin;
  std::string model;
  std::uint64_t model_year = 0;
  std::string country;                // ISO 3166-1 alpha-2
  std::string time_zone = "Etc/UTC";  // of the IANA database: days and months count in it
  std::vector<std::string> hardware;  // fitted, as the catalogue's fit rules name it
  std::vector<CarEcu> ecus;           // at least one
  UnixSeconds registered_at = 0;
  std::optional<Pairing> pairing;

  // The ECUs whose slot it is: for software the primary (while there is one) or those of the
  // hardware that are not the primary; for everything else the primary, or all before the pairing.
  std::vector<const CarEcu*> ecus_of(const manifest::Slot& slot) const;
  bool owned_by(std::string_view account) const {
    return pairing && !account.empty() && pairing->owner == account;
  }
};

// "v/<VIN>/": everything of one car lies together.
std::string car_prefix(const manifest::Vin& vin);
std::string car_key(const manifest::Vin& vin);

std::string encode_car(const Car& car);
Result<Car> decode_car(std::string_view text);

// kNotFound if it is not registered. Read through a change, it becomes an expectation.
Result<Car> load_car(const Store& store, const manifest::Vin& vin);
Result<Car> load_car(Change& change, const manifest::Vin& vin);
void save_car(Change& change, const Car& car);

// Secondary users (`v/<VIN>/user/<account>`).
std::string car_user_key(const manifest::Vin& vin, std::string_view account);

// `ac/<account>/<VIN>`: the cars that an account owns or uses; written with what it lists.
std::string account_cars_prefix(std::string_view account);
std::string account_car_key(std::string_view account, const manifest::Vin& vin);

}  // namespace layby::server
