// Who a secondary is: written once, when it is provisioned, with a key of its own that never leaves
// it and the roots that it trusts.
#pragma once

#include <memory>
#include <string>

#include "base/disk.h"
#include "crypto/keys.h"
#include "manifest/names.h"
#include "manifest/vin.h"

namespace layby::secondary {

// Uptane 2.1.0, 5.4.4.1: an ECU with little room believes the Director's targets alone; one that
// can verifies both repositories as the primary does.
enum class Verification { kFull, kPartial };
std::string_view to_string(Verification verification);  // "full", "partial"
Result<Verification> parse_verification(std::string_view text);

struct EcuIdentity {
  manifest::Vin vin;
  manifest::EcuSerial serial;
  manifest::HardwareId hardware;
  Verification verification = Verification::kFull;
};

// Where things lie below the state directory.
class EcuLayout {
 public:
  explicit EcuLayout(std::string directory) : directory_(std::move(directory)) {}
  const std::string& directory() const { return directory_; }
  std::string identity() const { return directory_ + "/ecu.json"; }
  std::string key() const { return directory_ + "/ecu.key"; }
  std::string lock() const { return directory_ + "/lock"; }
  std::string state() const { return directory_ + "/state.json"; }
  std::string director_trust() const { return directory_ + "/trust/director"; }
  std::string image_trust() const { return directory_ + "/trust/image"; }
  std::string delegated_trust() const { return image_trust() + "/delegated"; }
  std::string software() const { return directory_ + "/software"; }
  std::string slot(char name) const { return software() + "/" + name + ".img"; }

 private:
  std::string directory_;
};

struct EcuFactory {
  EcuIdentity identity;
  std::string director_root_path;
  std::string image_root_path{};       // for kFull, and only there
  std::string software_path{};         // what it leaves the factory with; empty: nothing
  std::uint64_t software_counter = 0;  // its release counter: nothing older is installed
};

// kAlreadyExists if the directory is provisioned. What a broken-off attempt left is overwritten.
Result<void> provision(Disk& disk, const EcuLayout& layout, const EcuFactory& factory);

// kNotFound when the directory is not provisioned.
Result<EcuIdentity> read_identity(Disk& disk, const EcuLayout& layout);
Result<std::unique_ptr<crypto::MemorySigner>> read_key(Disk& disk, const EcuLayout& layout);

}  // namespace layby::secondary
