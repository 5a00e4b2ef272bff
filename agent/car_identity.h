// Who this car is: what `provision` wrote down, and the keys that were made in the car and never
// leave it.
#pragma once

#include <memory>
#include <string>

#include "agent/layout.h"
#include "base/disk.h"
#include "crypto/keys.h"
#include "crypto/sealed_box.h"
#include "manifest/names.h"
#include "manifest/vin.h"

namespace layby::agent {

struct CarIdentity {
  manifest::Vin vin;
  manifest::EcuSerial ecu;
  manifest::HardwareId hardware;
  std::string server_url;
  std::uint64_t poll_seconds = 900;  // as the server said when the car was paired
};

// kNotFound when the directory is not provisioned.
Result<CarIdentity> read_identity(Disk& disk, const Layout& layout);
Result<void> write_identity(Disk& disk, const Layout& layout, const CarIdentity& identity);

struct CarKeys {
  std::unique_ptr<crypto::MemorySigner> ecu;
  crypto::SealKeyPair seal;
};

// Makes the ECU key, the seal key and the key for TLS, and stores them with mode 0600.
Result<void> make_keys(Disk& disk, const Layout& layout);
Result<CarKeys> read_keys(Disk& disk, const Layout& layout);

}  // namespace layby::agent
