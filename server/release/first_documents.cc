#include "server/release/first_documents.h"

#include <array>

#include "manifest/metadata_json.h"

namespace layby::server {

namespace {

using manifest::Role;
using SignerList = std::vector<std::unique_ptr<crypto::MemorySigner>>;

manifest::PublicKey public_key(const crypto::Signer& signer) {
  return manifest::PublicKey::of(signer);
}

struct RoleSigners {
  const crypto::Signer& targets;
  const crypto::Signer& snapshot;
  const crypto::Signer& timestamp;
};

Result<Bytes> make_first_root(const SignerList& root_keys, std::uint64_t threshold,
                              const RoleSigners& roles, UnixSeconds now) {
  if (threshold < 1 || threshold > root_keys.size())
    return fail(ErrorCode::kInvalidArgument,
                "a root threshold of {} needs as many root keys, not {}", threshold,
                root_keys.size());
  manifest::Root root;
  root.expires = now + kRootLifeSeconds;
  std::vector<const crypto::Signer*> by;
  for (const auto& key : root_keys) {
    root.add_key(Role::kRoot, public_key(*key));
    by.push_back(key.get());
  }
  root.roles[Role::kRoot].threshold = threshold;
  root.add_key(Role::kTargets, public_key(roles.targets));
  root.add_key(Role::kSnapshot, public_key(roles.snapshot));
  root.add_key(Role::kTimestamp, public_key(roles.timestamp));
  return manifest::make_root(root, by);
}

}  // namespace

OfflineKeys generate_offline_keys(std::size_t root_keys) {
  OfflineKeys keys;
  for (SignerList* list : {&keys.image_root, &keys.director_root})
    for (std::size_t i = 0; i < root_keys; ++i) list->push_back(crypto::MemorySigner::generate());
  keys.image_targets = crypto::MemorySigner::generate();
  return keys;
}

Result<FirstDocuments> make_first_documents(const OfflineKeys& offline, const OnlineKeys& online,
                                            std::uint64_t root_threshold, UnixSeconds now) {
  FirstDocuments first;
  first.image_root = TRY(make_first_root(
      offline.image_root, root_threshold,
      {*offline.image_targets, *online.image_snapshot, *online.image_timestamp}, now));
  first.director_root = TRY(make_first_root(
      offline.director_root, root_threshold,
      {*online.director_targets, *online.director_snapshot, *online.director_timestamp}, now));
  manifest::Targets targets;
  targets.expires = now + kImageTargetsLifeSeconds;
  const std::array<const crypto::Signer*, 1> by{offline.image_targets.get()};
  first.image_targets = TRY(manifest::make_targets(targets, by));
  return first;
}

}  // namespace layby::server
