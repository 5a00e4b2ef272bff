#include "agent/secondary/ecu_identity.h"

#include "agent/kept_file.h"
#include "agent/secondary/ecu_state.h"
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/json_value.h"
#include "manifest/repository.h"

namespace layby::secondary {
namespace {

constexpr std::uint64_t kIdentityBytesMax = 16 * kKiB;
constexpr std::size_t kCopyBytes = 1 * kMiB;

Result<void> install_root(Disk& disk, const std::string& from, const std::string& directory) {
  const Bytes root = TRY(layby::read_file(disk, from, kRootBytesMax));
  manifest::StoredRoles stored;
  stored.root = root;
  TRY_CONTEXT(manifest::TrustedRepository::load(stored), from);
  TRY_VOID(disk.make_dirs(directory));
  return agent::write_kept(disk, directory + "/root.json", root);
}

// The factory's image goes into slot A.
Result<EcuImage> install_software(Disk& disk, const EcuLayout& layout, const EcuFactory& factory) {
  const auto from = TRY(disk.open_read(factory.software_path));
  const auto to = TRY(disk.open_write(layout.slot('a')));
  TRY_VOID(to->truncate(0));
  Bytes buffer(kCopyBytes);
  for (std::uint64_t at = 0; at < from->size();) {
    const std::size_t count = std::min<std::uint64_t>(buffer.size(), from->size() - at);
    TRY_VOID(from->read_at(at, MutableByteSpan(buffer).first(count)));
    TRY_VOID(to->write_at(at, ByteSpan(buffer).first(count)));
    at += count;
  }
  TRY_VOID(to->sync());
  TRY_VOID(disk.sync_dir(layout.software()));
  const auto digests = TRY(crypto::hash_all(*to, crypto::Hasher::With::kSha256));
  auto name = TRY(manifest::ImageName::parse(
      fmt::format("software/{}/factory.img", factory.identity.hardware.text())));
  return EcuImage{.name = std::move(name),
                  .sha256 = digests.sha256,
                  .length = digests.length,
                  .sha512 = {},
                  .release_counter = factory.software_counter};
}

}  // namespace

std::string_view to_string(Verification verification) {
  switch (verification) {
    case Verification::kFull: return "full";
    case Verification::kPartial: return "partial";
  }
  LAYBY_ASSERT(false);
}

Result<Verification> parse_verification(std::string_view text) {
  for (const Verification one : {Verification::kFull, Verification::kPartial})
    if (to_string(one) == text) return one;
  return fail(ErrorCode::kInvalidArgument, "verification: full or partial, not {}", text);
}

Result<void> provision(Disk& disk, const EcuLayout& layout, const EcuFactory& factory) {
  if (disk.status(layout.identity()))
    return fail(ErrorCode::kAlreadyExists, "{} is provisioned already: there is a {}",
                layout.directory(), layout.identity());
  const bool is_full = factory.identity.verification == Verification::kFull;
  if (is_full == factory.image_root_path.empty())
    return fail(ErrorCode::kInvalidArgument,
                "full verification takes the root of the Image repository, partial does not");
  TRY_VOID(disk.make_dirs(layout.software()));
  TRY_VOID(install_root(disk, factory.director_root_path, layout.director_trust()));
  if (is_full) TRY_VOID(install_root(disk, factory.image_root_path, layout.image_trust()));
  const auto key = crypto::MemorySigner::generate();
  TRY_VOID(agent::write_kept(disk, layout.key(), key->seed()));
  EcuState state;
  if (!factory.software_path.empty())
    state.installed = TRY(install_software(disk, layout, factory));
  TRY_VOID(write_state(disk, layout, state));
  const manifest::Json json = {{"vin", factory.identity.vin.text()},
                               {"ecu", factory.identity.serial.text()},
                               {"hardware", factory.identity.hardware.text()},
                               {"verification", to_string(factory.identity.verification)}};
  return agent::write_kept(disk, layout.identity(),
                           as_bytes(TRY(manifest::to_wire(json))));  // the mark: last
}

Result<EcuIdentity> read_identity(Disk& disk, const EcuLayout& layout) {
  const Bytes bytes = TRY(agent::read_kept(disk, layout.identity(), kIdentityBytesMax));
  const manifest::Json json = TRY_CONTEXT(
      manifest::parse_strict(bytes, {.bytes_max = kIdentityBytesMax}), layout.identity());
  auto vin = TRY(manifest::Vin::parse(TRY(manifest::text_field(json, "vin"))));
  auto serial = TRY(manifest::EcuSerial::parse(TRY(manifest::text_field(json, "ecu"))));
  auto hardware = TRY(manifest::HardwareId::parse(TRY(manifest::text_field(json, "hardware"))));
  const auto verification =
      TRY(parse_verification(TRY(manifest::text_field(json, "verification"))));
  return EcuIdentity{std::move(vin), std::move(serial), std::move(hardware), verification};
}

Result<std::unique_ptr<crypto::MemorySigner>> read_key(Disk& disk, const EcuLayout& layout) {
  crypto::Ed25519Seed seed;
  const Bytes bytes = TRY(agent::read_kept(disk, layout.key(), seed.size()));
  if (bytes.size() != seed.size()) return fail(ErrorCode::kCorrupt, "{} is no key", layout.key());
  std::copy(bytes.begin(), bytes.end(), seed.begin());
  return crypto::MemorySigner::from_seed(seed);
}

}  // namespace layby::secondary
