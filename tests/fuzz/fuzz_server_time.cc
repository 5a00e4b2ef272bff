// Signed time: the input is the `signed` part, signed here with the key that may say it. It is the
// answer to one question, for one car; said again it is the same time. Nothing unsigned is
// believed.
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/server_time.h"

using namespace layby;
using namespace layby::manifest;

namespace {

constexpr UnixSeconds kNow = 1'800'000'000;
constexpr TimeNonce kNonce = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                              0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

struct World {
  std::unique_ptr<crypto::MemorySigner> key = crypto::MemorySigner::from_seed({1, 2, 3});
  std::unique_ptr<crypto::MemorySigner> other = crypto::MemorySigner::from_seed({4, 5, 6});
  const crypto::Signer* signers[1] = {key.get()};
  Vin vin = *Vin::parse("WVWZZZ1JZXW000017");
  Vin other_vin = *Vin::parse("WVWZZZ1JZXW000018");
  std::optional<TrustedRepository> director;

  // Only the timestamp role's key may say the time.
  World() {
    Root root;
    root.expires = kNow + kDaySeconds;
    for (const Role role : kRoles)
      root.add_key(role, PublicKey::of(role == Role::kTimestamp ? *key : *other));
    const crypto::Signer* root_signers[1] = {other.get()};
    director = *TrustedRepository::load({*make_root(root, root_signers), {}, {}, {}});
  }
};

void check_server_time(const World& world, ByteSpan document) {
  const auto time = verify_server_time(document, kNonce, *world.director);
  if (!time) return;
  TimeNonce other = kNonce;
  other[0] ^= 1;
  LAYBY_ASSERT(!verify_server_time(document, other, *world.director));
  LAYBY_ASSERT(!verify_package_time(document, world.vin, *world.director));
  const Bytes again = *make_server_time(kNonce, *time, world.signers);
  LAYBY_ASSERT(verify_server_time(again, kNonce, *world.director) == *time);
  const auto held = accept_signed_time(*time, kNow);
  LAYBY_ASSERT(!held || (*held >= kNow && *held >= *time));
  const bool witnessed = check_time_witness(*time, *world.director->root()).has_value();
  LAYBY_ASSERT(witnessed == (*time < kNow + kDaySeconds));
}

void check_package_time(const World& world, ByteSpan document) {
  const auto time = verify_package_time(document, world.vin, *world.director);
  if (!time) return;
  LAYBY_ASSERT(!verify_package_time(document, world.other_vin, *world.director));
  LAYBY_ASSERT(!verify_server_time(document, kNonce, *world.director));
  const Bytes again = *make_package_time(world.vin, *time, world.signers);
  LAYBY_ASSERT(verify_package_time(again, world.vin, *world.director) == *time);
}

// What agent and ECU keep of the keys.
void check_time_keys(const Json& part) {
  const auto keys = time_keys_field(part, "keys");
  if (!keys) return;
  const auto again = time_keys_field(Json{{"keys", to_json(*keys)}}, "keys");
  LAYBY_ASSERT(again && *again == *keys);
  LAYBY_ASSERT(still_holds({}, *keys));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  const ByteSpan raw{data, size};
  LAYBY_ASSERT(!verify_server_time(raw, kNonce, *world.director));
  LAYBY_ASSERT(!verify_package_time(raw, world.vin, *world.director));
  const auto part = parse_strict(raw, {.bytes_max = 64 * kKiB, .depth_max = kJsonDepthMax - 1});
  if (!part || !part->is_object()) return 0;
  check_time_keys(*part);
  const Bytes by_other = *sign_envelope(*part, *world.other);
  LAYBY_ASSERT(!verify_server_time(by_other, kNonce, *world.director));
  LAYBY_ASSERT(!verify_package_time(by_other, world.vin, *world.director));
  const Bytes document = *sign_envelope(*part, *world.key);
  check_server_time(world, document);
  check_package_time(world, document);
  return 0;
}
