// Licences: the input as it is, and as the part to sign and seal.
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/licence.h"

using namespace layby;
using namespace layby::manifest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto key = crypto::MemorySigner::from_seed({7});
  static const auto car = crypto::generate_seal_keys();
  static const LicenceExpectation expected{
      .vin = *Vin::parse("WVWZZZ1JZXW000017"),
      .function = *FunctionId::parse("f"),
      .licence_key = PublicKey::from_ed25519(key->public_key()),
      .newest = LicenceMark{3, {}}};
  LAYBY_ASSERT(!open_licence({data, size}, car.secret_key, expected));
  const auto part = parse_strict({data, size}, {.bytes_max = kMiB});
  if (!part) return 0;
  const auto document = sign_envelope(*part, *key);
  LAYBY_ASSERT(document);
  const auto licence =
      open_licence(*crypto::seal(*document, car.public_key), car.secret_key, expected);
  if (!licence) return 0;
  LAYBY_ASSERT((*licence)->vin == expected.vin && (*licence)->function == expected.function);
  LAYBY_ASSERT((*licence)->counter > 3);
  static_cast<void>(state_at(**licence, (*licence)->issued));
  return 0;
}
