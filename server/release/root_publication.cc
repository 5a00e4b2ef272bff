#include "server/release/root_publication.h"

#include <algorithm>

#include "manifest/director.h"
#include "manifest/metadata_json.h"
#include "manifest/repository.h"
#include "server/release/image.h"
#include "server/release/image_repository.h"
#include "server/release/image_state.h"
#include "server/release/release_keys.h"

namespace layby::server {

namespace {

using manifest::Role;

// What the server would sign under this root for a car without orders is what the car would take:
// `client` has the root and nothing else.
Result<void> check_as_car(const Services& services, manifest::TrustedRepository client) {
  const manifest::Root root = *client.root();
  const auto signers = [&](Role role) {
    return role_signers(services.keys, Repository::kDirector, role, root);
  };
  const UnixSeconds now = services.clock.now();
  const UnixSeconds expires = now + kTimestampLifeSeconds;
  const auto anybody = TRY(manifest::Vin::parse("LAYBY000000000000"));
  const manifest::DirectorContent content{
      .version = 1, .expires = expires, .vin = anybody, .orders = {}, .images = {}};
  const Bytes targets = TRY(manifest::make_targets(manifest::make_director_targets(content),
                                                   TRY(signers(Role::kTargets))));
  const auto online = TRY(manifest::make_online_roles(1, targets, {1, 1, expires, expires},
                                                      TRY(signers(Role::kSnapshot)),
                                                      TRY(signers(Role::kTimestamp))));
  manifest::Refresh refresh(client, now);
  TRY_VOID(refresh.give_absent());
  TRY_VOID(refresh.give(online.timestamp));
  TRY_VOID(refresh.give(online.snapshot));
  return refresh.give(targets);
}

Result<std::shared_ptr<const manifest::Root>> publish_director_root(const Services& services,
                                                                    ByteSpan root) {
  const auto publish = [&](Change& change) -> Result<std::shared_ptr<const manifest::Root>> {
    const std::string key = director_root_key(TRY(director_root_version(change)));
    const std::optional<std::string> present = TRY(change.get(key));
    if (!present) return fail(ErrorCode::kCorrupt, "{} is missing", key);
    auto client = TRY(manifest::TrustedRepository::load(
        {.root = to_bytes(*present), .timestamp = {}, .snapshot = {}, .targets = {}}));
    if (!std::ranges::equal(as_bytes(*present), root)) {
      TRY_VOID(client.accept_root(root));
      TRY_VOID(client.check_root_expiry(services.clock.now()));
      TRY_VOID(check_serves_cars(services, Repository::kDirector, *client.root()));
      TRY_VOID(check_as_car(services, client));
      change.put(director_root_key(client.root()->version), as_text(root));
      save_director_root_version(change, client.root()->version);
    }
    return std::make_shared<const manifest::Root>(*client.root());
  };
  return commit_with_retry(services.store, publish);
}

}  // namespace

Result<manifest::Version> publish_root(const Services& services, Repository repository,
                                       ByteSpan root) {
  if (repository == Repository::kImage) return publish_image_root(services, root);
  auto published = TRY(publish_director_root(services, root));
  const manifest::Version version = published->version;
  services.keys.roots->put(Repository::kDirector, std::move(published));
  return version;
}

namespace {

// The images of such a role are withdrawn until its next version.
Result<bool> has_expired_role(const Services& services) {
  Change reading(services.store);
  const ImageState state = TRY(load_image_state(reading));
  return std::ranges::any_of(state.delegated, [&](const auto& named) {
    return named.second.expires <= services.clock.now();
  });
}

Result<bool> has_no_successor(const Services& services, const Image& image) {
  for (const manifest::HardwareId& hardware : image.entry.hardware_ids) {
    const std::string prefix = release_prefix(image.entry.facts.slot.text(), hardware.text());
    const auto newest = TRY(services.store.scan(prefix, after_prefix(prefix), 1));
    if (!newest.empty() && newest.front().value == image.entry.name.text()) return true;
  }
  return false;
}

// Listed, or likely to be again.
Result<bool> is_in_use(const Services& services, const Image& image) {
  if (image.listing == Listing::kListed) return true;
  if (!TRY(has_expired_role(services))) return false;
  return has_no_successor(services, image);
}

// Some function of the Image repository obeys the next licence key, and none the present one.
Result<bool> is_next_licence_key_alone(const Services& services, const OnlineKeys& keys) {
  const auto present = manifest::PublicKey::of(*keys.licence);
  const auto next = manifest::PublicKey::of(*keys.next.at("licence"));
  const std::string prefix = image_key("functions/");
  const std::string end = after_prefix(prefix);
  bool names_next = false;
  std::string begin = prefix;
  while (true) {
    constexpr std::size_t kPage = 64;
    const std::vector<KeyValue> page = TRY(services.store.scan(begin, end, kPage));
    for (const KeyValue& record : page) {
      const std::string name = record.key.substr(image_key("").size());
      const Image image = TRY(decode_image(name, record.value));
      if (!TRY(is_in_use(services, image))) continue;
      if (image.entry.facts.licence_key == present) return false;
      names_next = names_next || image.entry.facts.licence_key == next;
    }
    if (page.size() < kPage) return names_next;
    begin = page.back().key + '\0';
  }
}

}  // namespace

Result<void> promote_next_keys(const Services& services, const std::string& keys_dir,
                               OnlineKeys& keys) {
  if (keys.next.contains("licence") && TRY(is_next_licence_key_alone(services, keys))) {
    services.log(LogLevel::kInfo, "next key takes its place", {{"key", "licence"}});
    TRY_VOID(promote_next_key(services.disk, keys_dir, "licence", keys));
  }
  Change reading(services.store);
  const manifest::Root director = TRY(present_director_root(reading));
  const manifest::Root image = TRY(present_image_root(reading));
  for (const auto& [repository, root] :
       {std::pair{Repository::kDirector, &director}, std::pair{Repository::kImage, &image}})
    for (const Role role : {Role::kTargets, Role::kSnapshot, Role::kTimestamp}) {
      const std::string name = role_key_name(repository, role);
      const auto next = keys.next.find(name);
      if (next == keys.next.end() || !names_key(*root, role, *next->second) ||
          names_key(*root, role, *(keys.*role_key(name))))
        continue;
      services.log(LogLevel::kInfo, "next key takes its place", {{"key", name}});
      TRY_VOID(promote_next_key(services.disk, keys_dir, name, keys));
    }
  return {};
}

}  // namespace layby::server
