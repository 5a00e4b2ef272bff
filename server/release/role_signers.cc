#include "server/release/role_signers.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "manifest/repository.h"
#include "server/fleet/json_answer.h"
#include "server/release/release_keys.h"

namespace layby::server {

std::string role_key_name(Repository repository, manifest::Role role) {
  return fmt::format("{}-{}", to_string(repository), manifest::to_string(role));
}

bool names_key(const manifest::Root& root, manifest::Role role, const crypto::Signer& signer) {
  const auto key = manifest::PublicKey::of(signer);
  const auto& ids = root.roles.at(role).key_ids;
  return std::ranges::any_of(ids, [&](const manifest::KeyId& id) {
    const auto named = root.keys.find(id);
    return named != root.keys.end() && named->second == key;
  });
}

std::string_view to_string(Repository repository) {
  switch (repository) {
    case Repository::kDirector: return "director";
    case Repository::kImage: return "image";
  }
  LAYBY_ASSERT(false);
}

Result<std::vector<const crypto::Signer*>> role_signers(const OnlineKeys& keys,
                                                        Repository repository, manifest::Role role,
                                                        const manifest::Root& root) {
  const std::string name = role_key_name(repository, role);
  const auto present = role_key(name);
  LAYBY_ASSERT(present != nullptr);
  std::vector<const crypto::Signer*> signers;
  if (names_key(root, role, *(keys.*present))) signers.push_back((keys.*present).get());
  const auto next = keys.next.find(name);
  // A copy of the present key signs nothing more: cars count a key once.
  if (next != keys.next.end() && names_key(root, role, *next->second) &&
      manifest::PublicKey::of(*next->second) != manifest::PublicKey::of(*(keys.*present)))
    signers.push_back(next->second.get());
  const std::uint64_t threshold = root.roles.at(role).threshold;
  if (signers.size() >= threshold) return signers;
  return fail(ErrorCode::kConflict,
              "root {} of the {} repository asks for {} keys of its {} role, of which this server "
              "has {}: `laybyd make-key {}` makes one that a root can name",
              root.version, to_string(repository), threshold, manifest::to_string(role),
              signers.size(), name);
}

Result<void> check_serves_cars(const Services& services, Repository repository,
                               const manifest::Root& root) {
  constexpr UnixSeconds kWarnSeconds = 30 * kDaySeconds;
  if (!root.consistent_snapshot)
    return fail(ErrorCode::kBadFormat,
                "root {} of the {} repository has no consistent_snapshot: cars would ask for files "
                "without a version, which this server does not have",
                root.version, to_string(repository));
  if (root.expires - services.clock.now() < kWarnSeconds)
    services.log(LogLevel::kWarning, "the root that is given expires soon",
                 {{"repository", std::string(to_string(repository))},
                  {"expires", format_utc(root.expires)}});
  return {};
}

Result<manifest::Root> read_root(std::string_view document) {
  const auto trusted = TRY(manifest::TrustedRepository::load(
      {.root = to_bytes(document), .timestamp = {}, .snapshot = {}, .targets = {}}));
  return *trusted.root();
}

Result<manifest::Version> director_root_version(Change& change) {
  const std::optional<std::string> record = TRY(change.get(kDirectorStateKey));
  if (!record) return 1;  // none but the first was ever published
  const manifest::Json json = TRY(parse_stored(kDirectorStateKey, *record));
  return manifest::uint_field(json, "root");
}

void save_director_root_version(Change& change, manifest::Version version) {
  change.put(kDirectorStateKey, to_stored(manifest::Json{{"root", version}}));
}

Result<manifest::Root> present_director_root(Change& change) {
  const std::string key = director_root_key(TRY(director_root_version(change)));
  const std::optional<std::string> document = TRY(change.get(key));
  if (!document) return fail(ErrorCode::kCorrupt, "{} is missing", key);
  return read_root(*document);
}

Result<std::shared_ptr<const manifest::Root>> published_director_root(const Services& services) {
  if (auto held = services.keys.roots->get(Repository::kDirector)) return held;
  Change reading(services.store);
  auto root = std::make_shared<const manifest::Root>(TRY(present_director_root(reading)));
  services.keys.roots->put(Repository::kDirector, root);
  return root;
}

}  // namespace layby::server
