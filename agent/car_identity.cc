#include "agent/car_identity.h"

#include <algorithm>

#include "agent/kept_file.h"
#include "crypto/certificate.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

constexpr std::uint64_t kIdentityBytesMax = 64 * kKiB;
// Never oftener than every second, at least once a week.
constexpr std::uint64_t kPollSecondsMax = 7 * kDaySeconds;

template <std::size_t N>
Result<std::array<std::uint8_t, N>> read_key(Disk& disk, const std::string& path) {
  const Bytes bytes = TRY(read_kept(disk, path, N));
  if (bytes.size() != N)
    return fail(ErrorCode::kCorrupt, "{} has {} bytes, a key has {}", path, bytes.size(), N);
  std::array<std::uint8_t, N> key;
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

}  // namespace

Result<CarIdentity> read_identity(Disk& disk, const Layout& layout) {
  const Bytes bytes = TRY(read_kept(disk, layout.identity(), kIdentityBytesMax));
  const manifest::Json json = TRY_CONTEXT(
      manifest::parse_strict(bytes, {.bytes_max = kIdentityBytesMax}), layout.identity());
  auto vin = TRY(manifest::Vin::parse(TRY(manifest::text_field(json, "vin"))));
  auto ecu = TRY(manifest::EcuSerial::parse(TRY(manifest::text_field(json, "ecu"))));
  auto hardware = TRY(manifest::HardwareId::parse(TRY(manifest::text_field(json, "hardware"))));
  auto server_url = TRY(manifest::text_field(json, "server"));
  CarIdentity identity{std::move(vin), std::move(ecu), std::move(hardware), std::move(server_url)};
  identity.poll_seconds = TRY(manifest::uint_field(json, "pollSeconds", kPollSecondsMax));
  return identity;
}

Result<void> write_identity(Disk& disk, const Layout& layout, const CarIdentity& identity) {
  const manifest::Json json = {
      {"vin", identity.vin.text()},
      {"ecu", identity.ecu.text()},
      {"hardware", identity.hardware.text()},
      {"server", identity.server_url},
      {"pollSeconds", std::clamp<std::uint64_t>(identity.poll_seconds, 1, kPollSecondsMax)}};
  return write_kept(disk, layout.identity(), as_bytes(TRY(manifest::to_wire(json))));
}

Result<void> make_keys(Disk& disk, const Layout& layout) {
  TRY_VOID(disk.make_dirs(layout.keys()));
  const auto ecu = crypto::MemorySigner::generate();
  TRY_VOID(write_kept(disk, layout.ecu_key(), ecu->seed()));
  TRY_VOID(write_kept(disk, layout.seal_key(), crypto::generate_seal_keys().secret_key));
  return replace_file(disk, layout.tls_key(), as_bytes(crypto::generate_tls_key()));
}

Result<CarKeys> read_keys(Disk& disk, const Layout& layout) {
  CarKeys keys;
  keys.ecu = crypto::MemorySigner::from_seed(TRY(read_key<32>(disk, layout.ecu_key())));
  keys.seal.secret_key = TRY(read_key<32>(disk, layout.seal_key()));
  keys.seal.public_key = crypto::seal_public_key(keys.seal.secret_key);
  return keys;
}

}  // namespace layby::agent
