// The car's word: ECU reports and vehicle manifests (docs/formats.md; Uptane 2.1.0, 5.4.2.1).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/keys.h"
#include "manifest/keys.h"
#include "manifest/licence.h"
#include "manifest/names.h"
#include "manifest/re_encoders.h"
#include "manifest/vin.h"

namespace layby::manifest {

// The states of an order in the car. The names travel: they never change.
enum class OrderState {
  kOffered,
  kDownloading,
  kDownloaded,
  kWaiting,
  kInstalling,
  kActivating,
  kConfirming,
  kRollingBack,
  kActive,
  kDeactivated,
  kFailed,
  kRefused,
};
std::string_view to_string(OrderState state);  // "offered", … "rolling-back", …
Result<OrderState> parse_order_state(std::string_view text);

struct InstalledImage {
  ImageName image;
  crypto::Digest256 sha256{};
  std::uint64_t length = 0;
  std::uint64_t release_counter = 0;
  bool operator==(const InstalledImage&) const = default;
};

struct FunctionReport {
  std::uint64_t counter = 0;  // of the licence
  FunctionState state = FunctionState::kActive;
  std::optional<UnixSeconds> until;
};

struct ErrorReport {
  std::uint64_t code = 0;  // numbers of base/error.h, perhaps of a newer agent
  std::string name;
  std::string text;
};
ErrorReport describe_error(const Error& error);

// How long an installation took that came to its end (P4.4, P4.6); all in seconds.
struct DurationReport {
  std::uint64_t shown = 0;       // to the driver, beforehand
  std::uint64_t took = 0;        // from the point of no return to the end
  std::uint64_t since_lock = 0;  // from the moment when the car was locked, to the end
  bool operator==(const DurationReport&) const = default;
};

struct OrderReport {
  OrderId id;
  OrderState state = OrderState::kOffered;
  UnixSeconds since = 0;
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
  std::optional<ErrorReport> error;
  std::map<std::string, std::string> conditions;  // signal and value, both as text
  std::optional<DurationReport> duration{};
};

struct EcuReport {
  EcuSerial ecu;
  std::uint64_t counter = 1;
  UnixSeconds time = 0;
  std::string agent;
  ReEncoders re_encoders{};  // that the agent has; payloads that need others cannot be applied
  std::map<Slot, InstalledImage> installed;
  std::map<FunctionId, FunctionReport> functions;
  std::string attack;  // "name: text" of the last refused metadata or payload; empty for none
  std::vector<OrderReport> orders;
};

// Signed reports. In texts, what is not printable ASCII becomes '?', and what is too long is cut.
// kBadCanonicalJson for numbers above 2^53-1.
Result<Bytes> make_ecu_report(const EcuReport& report, const crypto::Signer& ecu);
// What make_ecu_report would sign, as a digest: the same for the same picture.
Result<crypto::Digest256> ecu_report_digest(const EcuReport& report);
// ECUs that gave no report which may be passed on, and why: a name of docs/error-codes.md.
using SilentEcus = std::map<EcuSerial, std::string>;
// `reports` are what make_ecu_report gave, by serial. kTooLarge above kVehicleManifestBytesMax.
Result<Bytes> make_vehicle_manifest(const Vin& vin, const EcuSerial& primary,
                                    const std::map<EcuSerial, Bytes>& reports,
                                    const crypto::Signer& primary_key,
                                    const SilentEcus& silent = {});

// What a server knows of a car.
struct KnownEcu {
  PublicKey key;
  std::uint64_t counter = 0;  // of the last report taken; 0 for none
  // Where it is known, an ECU is believed only about itself: the primary about everything but the
  // slots `software.HARDWARE_ID`, another one about the slot of its own hardware alone.
  std::optional<HardwareId> hardware = std::nullopt;
};
struct KnownCar {
  Vin vin;
  EcuSerial primary;
  std::map<EcuSerial, KnownEcu> ecus;
  std::optional<crypto::Digest256> last_manifest;  // SHA-256 of the bytes of the last one taken
};

// For a primary, of what another ECU of its car has handed it: what a server would say of it in a
// manifest, so that one ECU's report never has the manifest refused. Errors of
// verify_vehicle_manifest, of one report; kEndlessData above kSecondaryReportBytesMax. The time in
// it is for check_report_time.
Result<EcuReport> verify_secondary_report(ByteSpan bytes, const EcuSerial& serial,
                                          const KnownEcu& known);

// A car's time is the server's own, carried on by a clock of the car's: it may run ahead, not away.
constexpr UnixSeconds kReportAheadSecondsMax = kDaySeconds;
// kUntrustedTime for a report from further ahead of `now` than `ahead_seconds_max`.
Result<void> check_report_time(const EcuReport& report, UnixSeconds now,
                               UnixSeconds ahead_seconds_max = kReportAheadSecondsMax);

// Only verify_vehicle_manifest makes one.
class VerifiedManifest {
 public:
  enum class Freshness { kNew, kRepeated };
  Freshness freshness() const { return freshness_; }
  const std::map<EcuSerial, EcuReport>& ecus() const { return ecus_; }
  // The ECUs that are not in `ecus`: the primary has no report of theirs to hand on.
  const SilentEcus& silent() const { return silent_; }
  const EcuReport& primary() const { return ecus_.at(primary_); }
  const crypto::Digest256& digest() const { return digest_; }  // of the bytes: next last_manifest

 private:
  friend Result<VerifiedManifest> verify_vehicle_manifest(ByteSpan, const KnownCar&);
  VerifiedManifest(EcuSerial primary, crypto::Digest256 digest)
      : primary_(std::move(primary)), digest_(digest) {}
  Freshness freshness_ = Freshness::kNew;
  EcuSerial primary_;
  crypto::Digest256 digest_;
  std::map<EcuSerial, EcuReport> ecus_;
  SilentEcus silent_;
};

// kWrongVehicle for another VIN; kWrongEcu for an unknown or twice named ECU, one that neither has
// a report nor is named as silent, a silent primary or another primary, for a report under another
// key than the ECU's, and for one that speaks of what is another ECU's; kBadSignature unless the
// primary signed the whole and each ECU its own report; kReplay for a counter that is not above the
// last one; kBadFormat for what does not keep to docs/formats.md, also for an order that stands
// twice, an image in another's slot or unprintable text. The very bytes of the last one are not an
// error but kRepeated: acknowledge them and change nothing.
Result<VerifiedManifest> verify_vehicle_manifest(ByteSpan bytes, const KnownCar& car);

}  // namespace layby::manifest
