// What the Director tells one car (docs/formats.md, "Director"), and how a primary comes to believe
// it (Uptane 2.1.0, full verification).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "manifest/image_entry.h"
#include "manifest/names.h"
#include "manifest/re_encoders.h"
#include "manifest/repository.h"
#include "manifest/vin.h"

namespace layby::manifest {

// One way for an image to travel. `base` is the SHA-256 of what the slot holds now; absent for the
// whole image. A car that does not have what it needs gets another one.
struct Payload {
  std::optional<crypto::Digest256> base;
  crypto::Digest256 sha256{};
  std::uint64_t length = 0;
  crypto::Digest256 head_sha256{};
  std::uint64_t head_length = 0;
  ReEncoders needs{};
  bool operator==(const Payload&) const = default;
};

enum class OrderAction { kInstall, kLicence, kDeactivate };
std::string_view to_string(OrderAction action);  // "install", "licence", "deactivate"

// How an order's payloads come into the car: fetched by it, or in a partner's package (P3.1, P5.3).
enum class Delivery { kOverTheAir, kOffline };
std::string_view to_string(Delivery delivery);  // "over-the-air", "offline"
Result<Delivery> parse_delivery(std::string_view text);

// ---- The server's side --------------------------------------------------------------------------

struct AssignedImage {
  std::string name;
  Target image_target;  // the entry of the Image repository's targets
  std::map<EcuSerial, HardwareId> ecus;
  std::vector<Payload> payloads;
};

struct Order {
  OrderId id;
  OrderAction action = OrderAction::kInstall;
  std::vector<std::string> images;  // names among the assigned ones; for kInstall only
  Bytes licence;                    // sealed; empty for none
  Delivery delivery = Delivery::kOverTheAir;
};

struct DirectorContent {
  Version version = 1;
  UnixSeconds expires = 0;
  Vin vin;
  std::vector<Order> orders;  // in the order in which they are to be done
  std::vector<AssignedImage> images;
};

// Targets for `make_targets`. An image that no order names, or that two do, is our bug; so is one
// whose target is not an image entry.
Targets make_director_targets(const DirectorContent& content);

// ---- The car's side -----------------------------------------------------------------------------

// What a car knows about itself.
struct CarFacts {
  Vin vin;
  std::map<EcuSerial, HardwareId> ecus;
  std::map<Slot, std::uint64_t> release_counters;  // of what is installed
  // Who has all slots but `software.HARDWARE_ID`, and none of those. Without it nobody is held to
  // that: every primary names it.
  std::optional<EcuSerial> primary = std::nullopt;
};

struct PlannedImage {
  ImageEntry entry;               // as both repositories have it
  std::vector<EcuSerial> ecus;    // of this car; at least one
  std::vector<Payload> payloads;  // as listed; perhaps none that fits what the car has
};

struct PlannedOrder {
  OrderId id;
  OrderAction action = OrderAction::kInstall;
  std::vector<PlannedImage> images;
  Bytes licence;                 // sealed; empty for none
  std::optional<Error> refusal;  // set when this build must not carry it out: it has a condition
                                 // that cannot be read here, or an unknown action (kUnsupported).
                                 // The other orders are not touched by it
  Delivery delivery = Delivery::kOverTheAir;
};

// What a Director's timestamp and snapshot say beyond TUF: whom they are for, as its targets do.
std::string director_custom(const Vin& vin);

// An image that the Director gives this car, and the hardware of an ECU that it is for.
struct AssignedTarget {
  std::string name;
  HardwareId hardware;
  auto operator<=>(const AssignedTarget&) const = default;
};

// What verify_plan compares with the Image repository, each once: between its refresh and
// verify_plan a TargetSearch is due for each. The Director must be refreshed (`targets()` is our
// bug otherwise). Only what can be for this car is named:
//   kWrongVehicle  another VIN
//   kWrongEcu      an ECU that the car does not have, or with other hardware
//   kBadFormat     delegations, an entry that cannot be read
Result<std::vector<AssignedTarget>> assigned_targets(const TrustedRepository& director,
                                                     const CarFacts& car);

// Orders that both repositories stand behind, for this car. Only verify_plan makes one.
class VerifiedPlan {
 public:
  const std::vector<PlannedOrder>& orders() const { return orders_; }
  Version director_version() const { return director_version_; }

 private:
  friend Result<VerifiedPlan> verify_plan(const TrustedRepository&, const TrustedRepository&,
                                          const CarFacts&, UnixSeconds);
  VerifiedPlan() = default;
  std::vector<PlannedOrder> orders_;
  Version director_version_ = 0;
};

// Both repositories must be refreshed, all roles there and not expired at `now`, and what the
// Director assigns must be searched for (assigned_targets). Then, whole or not at all:
//   kWrongVehicle          another VIN
//   kWrongEcu              an ECU that the car does not have, with other hardware, or given two
//                          images for one slot; an image that does not fit the hardware, or whose
//                          slot is not the ECU's
//   kRepositoriesDisagree  an image that the Image repository does not have just so; one that only
//                          a delegated role has that may not speak of its path or hardware
//   kImageRollback         a release counter below the installed one
//   kBadFormat             delegations, an image without order, an order without its images
// A Director that names nothing needs no Image repository: `image` may then be out of date.
Result<VerifiedPlan> verify_plan(const TrustedRepository& director, const TrustedRepository& image,
                                 const CarFacts& car, UnixSeconds now);

}  // namespace layby::manifest
