// What the Director gives one ECU that is not the primary, and how that ECU comes to believe it by
// itself (Uptane 2.1.0, 5.4.4): it trusts nobody who only carried the metadata to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "manifest/image_entry.h"
#include "manifest/metadata.h"
#include "manifest/names.h"
#include "manifest/repository.h"
#include "manifest/vin.h"

namespace layby::manifest {

// What an ECU knows about itself.
struct EcuFacts {
  Vin vin;
  EcuSerial serial;
  HardwareId hardware;
  std::uint64_t release_counter = 0;  // of what is installed
};

// Only verify_ecu_image makes one.
class VerifiedEcuImage {
 public:
  const ImageEntry& entry() const { return entry_; }

 private:
  friend Result<std::optional<VerifiedEcuImage>> verify_ecu_image(const Verified<Targets>&,
                                                                  const TrustedRepository*,
                                                                  const EcuFacts&);
  explicit VerifiedEcuImage(ImageEntry entry) : entry_(std::move(entry)) {}
  ImageEntry entry_;
};

// The name of the one image that the Director's targets give this ECU; empty where they give it
// none. kWrongVehicle, kWrongEcu and kBadFormat as verify_ecu_image.
Result<std::optional<std::string>> own_image_name(const Targets& director, const Vin& vin,
                                                  const EcuSerial& serial);

// The one image that the Director's targets give this ECU; empty where they give it none. `image`
// is the Image repository, refreshed, and searched (TargetSearch) for the ECU's own image and
// hardware; nullptr where the ECU verifies partially, and has to believe the Director alone. Expiry
// was checked when the targets were accepted.
//   kWrongVehicle          another VIN, or none
//   kWrongEcu              this serial with other hardware, two images, an image for another slot
//   kRepositoriesDisagree  an image that the Image repository does not have just so, or only in a
//                          delegated role that may not speak of its path or hardware
//   kImageRollback         a release counter below the installed one
//   kBadFormat             delegations, an entry that cannot be read
Result<std::optional<VerifiedEcuImage>> verify_ecu_image(const Verified<Targets>& director,
                                                         const TrustedRepository* image,
                                                         const EcuFacts& ecu);

}  // namespace layby::manifest
