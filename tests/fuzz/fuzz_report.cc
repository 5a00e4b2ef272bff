// ECU reports: the input is the report's part to sign. What was read says the same when it is made
// again.
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/report.h"

using namespace layby;
using namespace layby::manifest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto key = crypto::MemorySigner::from_seed({9});
  static const EcuSerial serial = *EcuSerial::parse("HU-1");
  static const KnownCar car{*Vin::parse("WVWZZZ1JZXW000017"),
                            serial,
                            {{serial, {PublicKey::from_ed25519(key->public_key()), 1}}},
                            std::nullopt};
  LAYBY_ASSERT(!verify_vehicle_manifest({data, size}, car));
  const auto part = parse_strict({data, size}, {.bytes_max = kMiB, .depth_max = kJsonDepthMax - 5});
  if (!part) return 0;
  const Bytes report = *sign_envelope(*part, *key);
  const auto manifest = make_vehicle_manifest(car.vin, serial, {{serial, report}}, *key);
  if (!manifest) return 0;
  const auto verified = verify_vehicle_manifest(*manifest, car);
  if (!verified) return 0;
  LAYBY_ASSERT(verified->primary().counter > 1);
  const Bytes again = *make_ecu_report(verified->primary(), *key);
  LAYBY_ASSERT(verify_vehicle_manifest(
      *make_vehicle_manifest(car.vin, serial, {{serial, again}}, *key), car));
  return 0;
}
