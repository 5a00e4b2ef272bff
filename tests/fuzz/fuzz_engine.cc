// The engine: the input is the `signed` part of any role, signed here with the right keys, and
// given to a client that has trusted something already. What is refused changes nothing; what is
// taken never lowers a version; the orders in it are read too.
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/director.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "manifest/target_search.h"

using namespace layby;
using namespace layby::manifest;

namespace {

constexpr UnixSeconds kNow = 1'800'000'000;

struct World {
  std::unique_ptr<crypto::MemorySigner> key = crypto::MemorySigner::from_seed({1, 2, 3});
  const crypto::Signer* signers[1] = {key.get()};
  StoredRoles stored;
  std::optional<TrustedRepository> trusted;

  World() {
    Root root;
    root.expires = kNow + kDaySeconds;
    for (const Role role : kRoles) root.add_key(role, PublicKey::from_ed25519(key->public_key()));
    Targets targets;
    targets.expires = root.expires;
    stored.root = *make_root(root, signers);
    stored.targets = *make_targets(targets, signers);
    auto online = *make_online_roles(1, *stored.targets, {1, 1, root.expires, root.expires},
                                     signers, signers);
    stored.snapshot = std::move(online.snapshot);
    stored.timestamp = std::move(online.timestamp);
    trusted = *TrustedRepository::load(stored);
  }
};

bool unchanged(const StoredRoles& a, const StoredRoles& b) {
  return a.root == b.root && a.timestamp == b.timestamp && a.snapshot == b.snapshot &&
         a.targets == b.targets;
}

// Targets reach the engine only through a snapshot and a timestamp that name them.
void offer_targets(const World& world, ByteSpan document, std::uint64_t version) {
  TrustedRepository client = *world.trusted;
  const auto online =
      make_online_roles(version, document, {2, 2, kNow + kDaySeconds, kNow + kDaySeconds},
                        world.signers, world.signers);
  if (!online || !client.accept_timestamp(online->timestamp, kNow) ||
      !client.accept_snapshot(online->snapshot, kNow))
    return;
  if (!client.accept_targets(document, kNow)) return;
  LAYBY_ASSERT(client.targets() && (*client.targets())->version == version);
  const CarFacts car{.vin = *Vin::parse("WVWZZZ1JZXW000017"),
                     .ecus = {{*EcuSerial::parse("HU-1"), *HardwareId::parse("hu-4")}},
                     .release_counters = {}};
  static_cast<void>(verify_plan(client, client, car, kNow));
  for (const auto& [name, target] : (*client.targets())->targets)
    static_cast<void>(read_image_entry(name, target));
}

// As targets of a client that looks for something, a plain one of TUF and an ECU of some hardware:
// the same document stands for each role that is delegated, so that circles and depths are walked
// too.
void offer_search(const World& world, ByteSpan document, const Targets& targets) {
  Snapshot snapshot{2, kNow + kDaySeconds, {{"targets.json", {targets.version, {}, {}}}}};
  if (targets.delegations) {
    for (const Delegation& role : targets.delegations->roles)
      snapshot.files[role.name + ".json"] = {targets.version, {}, {}};
    if (const auto& bins = targets.delegations->succinct_roles)
      snapshot.files[bins->role_for("maps/DE/1.tar") + ".json"] = {targets.version, {}, {}};
  }
  const auto signed_snapshot = make_snapshot(snapshot, world.signers);
  const auto timestamp = make_timestamp({2, kNow + kDaySeconds, {2, {}, {}}}, world.signers);
  TrustedRepository client = *TrustedRepository::load({world.stored.root, {}, {}, {}}, Rules::kTuf);
  if (!signed_snapshot || !timestamp || !client.accept_timestamp(*timestamp, kNow) ||
      !client.accept_snapshot(*signed_snapshot, kNow) || !client.accept_targets(document, kNow))
    return;
  for (const auto& hardware :
       {std::optional<HardwareId>(), std::optional(*HardwareId::parse("hu-4"))}) {
    TargetSearch search(client, "maps/DE/1.tar", kNow, hardware);
    int given = 0;
    while (search.next()) {
      LAYBY_ASSERT(++given <= 33);
      static_cast<void>(search.give(document));
    }
    LAYBY_ASSERT(!search.found() ||
                 *search.found() == client.find_target("maps/DE/1.tar", hardware));
  }
}

template <typename Accept>
void offer(const World& world, Accept accept) {
  TrustedRepository client = *world.trusted;
  if (accept(client))
    LAYBY_ASSERT(TrustedRepository::load(client.stored()));
  else
    LAYBY_ASSERT(unchanged(world.stored, client.stored()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  const ByteSpan raw{data, size};
  offer(world, [&](auto& client) { return client.accept_timestamp(raw, kNow).has_value(); });

  const auto part = parse_strict(raw, {.bytes_max = kMiB, .depth_max = kJsonDepthMax - 1});
  if (!part || !part->is_object()) return 0;
  const Bytes document = *sign_envelope(*part, world.signers);
  offer(world, [&](auto& client) { return client.accept_root(document).has_value(); });
  offer(world, [&](auto& client) { return client.accept_timestamp(document, kNow).has_value(); });
  offer(world, [&](auto& client) { return client.accept_snapshot(document, kNow).has_value(); });
  if (const auto targets = decode_targets(*part)) {
    offer_targets(world, document, targets->version);
    offer_search(world, document, *targets);
  }
  return 0;
}
