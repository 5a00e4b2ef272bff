#include "server/director/director_metadata.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "server/director/director_keys.h"
#include "server/director/online_keys.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/json_answer.h"
#include "server/release/image_repository.h"
#include "server/release/release_keys.h"
#include "server/release/role_signers.h"

namespace layby::server {

namespace {

using manifest::Json;
using manifest::Role;
using manifest::Version;

// What was signed for a car last.
struct DirectorState {
  Version targets = 0;
  Version snapshot = 0;
  Version timestamp = 0;
  Version root = 1;                          // whose keys signed all three
  std::optional<crypto::Digest256> content;  // of the targets, versions and times left out
  UnixSeconds targets_expires = 0;
  UnixSeconds snapshot_expires = 0;
  std::vector<std::string> wants;
  std::vector<HeldOrder> held;
};

Result<DirectorState> decode_state(std::string_view key, std::string_view record) {
  const Json json = TRY(parse_stored(key, record));
  DirectorState state;
  state.targets = TRY(manifest::uint_field(json, "targets"));
  state.snapshot = TRY(manifest::uint_field(json, "snapshot"));
  state.timestamp = TRY(manifest::uint_field(json, "timestamp"));
  if (manifest::find_field(json, "root")) state.root = TRY(manifest::uint_field(json, "root"));
  state.content = TRY(manifest::digest_field(json, "content"));
  state.targets_expires = TRY(manifest::time_field(json, "targets_expires"));
  state.snapshot_expires = TRY(manifest::time_field(json, "snapshot_expires"));
  constexpr std::size_t kWantsMax = 4096;
  state.wants = TRY(texts_field(json, "wants", kWantsMax, 200));
  const Json* held = TRY(manifest::array_field(json, "held"));
  for (const Json& entry : *held) {
    std::string order = TRY(manifest::text_field(entry, "order"));
    std::string reason = TRY(manifest::text_field(entry, "reason"));
    state.held.push_back({std::move(order), std::move(reason)});
  }
  return state;
}

std::string encode_state(const DirectorState& state) {
  LAYBY_ASSERT(state.content.has_value());
  Json held = Json::array();
  for (const HeldOrder& entry : state.held)
    held.push_back({{"order", entry.order}, {"reason", entry.reason}});
  return to_stored(Json{{"targets", state.targets},
                        {"snapshot", state.snapshot},
                        {"timestamp", state.timestamp},
                        {"root", state.root},
                        {"content", to_hex(*state.content)},
                        {"targets_expires", format_utc(state.targets_expires)},
                        {"snapshot_expires", format_utc(state.snapshot_expires)},
                        {"wants", state.wants},
                        {"held", std::move(held)}});
}

Result<DirectorState> load_state(Change& change, const manifest::Vin& vin) {
  const std::string key = director_state_key(vin.text());
  const std::optional<std::string> record = TRY(change.get(key));
  if (!record) return DirectorState{};
  return decode_state(key, *record);
}

// More than half of its life is over.
bool is_ageing(UnixSeconds expires, UnixSeconds now) {
  return expires - now < kDirectorLifeSeconds / 2;
}

// Two plans with the same digest would make the same targets.
crypto::Digest256 content_digest(const manifest::Targets& targets) {
  manifest::Targets timeless = targets;
  timeless.version = 1;
  timeless.expires = 0;
  const Result<std::string> canonical = manifest::to_canonical(manifest::encode(timeless));
  LAYBY_ASSERT(canonical.has_value());
  return crypto::sha256(as_bytes(*canonical));
}

// A job that completes or withdraws an image finds by these marks whose metadata is outdated.
void update_wants(Change& change, const manifest::Vin& vin, const std::vector<std::string>& before,
                  const std::vector<std::string>& after) {
  for (const std::string& name : before)
    if (!std::ranges::binary_search(after, name)) change.erase(wants_key(name, vin.text()));
  for (const std::string& name : after)
    if (!std::ranges::binary_search(before, name)) change.put(wants_key(name, vin.text()), "");
}

// One signing of one car's metadata.
struct Signing {
  const Services& services;
  Change& change;
  CarAffairs& affairs;
  const Car& car;
  UnixSeconds now;
  DirectorState& state;
  const manifest::Root& root;

  // Other keys may sign now: whatever the old ones signed is signed anew.
  bool is_new_root() const { return root.version != state.root; }
  Result<std::vector<const crypto::Signer*>> signers(Role role) const {
    return role_signers(services.keys, Repository::kDirector, role, root);
  }
};

// The bytes of the targets that are valid from now on, and whether they are new.
struct SignedTargets {
  Bytes bytes;
  enum class Age { kNew, kKept } age;
};

Json images_json(const manifest::Order& order, const DirectorPlan& plan) {
  Json images = Json::array();
  for (const manifest::AssignedImage& image : plan.images) {
    if (std::ranges::find(order.images, image.name) == order.images.end()) continue;
    Json entry{{"name", image.name}, {"length", image.image_target.length}};
    if (const auto& sha256 = image.image_target.hashes.sha256) entry["sha256"] = to_hex(*sha256);
    images.push_back(std::move(entry));
  }
  return images;
}

// What the car is offered from now on, and by which document (P5.4).
void record_offer(const Signing& signing, const DirectorPlan& plan, const Bytes& targets) {
  Json orders = Json::array();
  for (const manifest::Order& order : plan.orders) {
    Json entry{{"id", order.id.text()},
               {"action", std::string(manifest::to_string(order.action))},
               {"images", images_json(order, plan)}};
    if (!order.licence.empty()) entry["licence_sha256"] = to_hex(crypto::sha256(order.licence));
    orders.push_back(std::move(entry));
  }
  signing.affairs.record("offered", "",
                         {{"targets_version", signing.state.targets},
                          {"targets_sha256", to_hex(crypto::sha256(targets))},
                          {"expires", format_utc(signing.state.targets_expires)},
                          {"orders", std::move(orders)}});
}

Result<SignedTargets> sign_targets(const Signing& signing, const DirectorPlan& plan) {
  DirectorState& state = signing.state;
  manifest::Targets targets =
      manifest::make_director_targets({.version = state.targets + 1,
                                       .expires = signing.now + kDirectorLifeSeconds,
                                       .vin = signing.car.vin,
                                       .orders = plan.orders,
                                       .images = plan.images});
  const crypto::Digest256 content = content_digest(targets);
  const std::string& vin = signing.car.vin.text();
  if (state.content == content && !is_ageing(state.targets_expires, signing.now) &&
      !signing.is_new_root()) {
    const std::string key = director_targets_key(vin, state.targets);
    const std::optional<std::string> kept = TRY(signing.change.get(key));
    if (!kept) return fail(ErrorCode::kCorrupt, "{} is missing", key);
    return SignedTargets{to_bytes(*kept), SignedTargets::Age::kKept};
  }
  const auto by = TRY(signing.signers(Role::kTargets));
  Bytes bytes = TRY(manifest::make_targets(targets, by));
  state.targets = targets.version;
  state.targets_expires = targets.expires;
  state.content = content;
  record_offer(signing, plan, bytes);
  signing.change.put(director_targets_key(vin, state.targets), as_text(bytes));
  if (state.targets > 2) signing.change.erase(director_targets_key(vin, state.targets - 2));
  return SignedTargets{std::move(bytes), SignedTargets::Age::kNew};
}

Result<Bytes> sign_snapshot(const Signing& signing, const SignedTargets& targets) {
  DirectorState& state = signing.state;
  const std::string& vin = signing.car.vin.text();
  if (targets.age == SignedTargets::Age::kKept && !is_ageing(state.snapshot_expires, signing.now)) {
    const std::string key = director_snapshot_key(vin, state.snapshot);
    const std::optional<std::string> kept = TRY(signing.change.get(key));
    if (!kept) return fail(ErrorCode::kCorrupt, "{} is missing", key);
    return to_bytes(*kept);
  }
  ++state.snapshot;
  state.snapshot_expires = signing.now + kDirectorLifeSeconds;
  const auto by = TRY(signing.signers(Role::kSnapshot));
  Bytes bytes = TRY(manifest::make_snapshot(
      {.version = state.snapshot,
       .expires = state.snapshot_expires,
       .files = {{"targets.json", manifest::describe_file(state.targets, targets.bytes)}},
       .custom = manifest::director_custom(signing.car.vin)},
      by));
  signing.change.put(director_snapshot_key(vin, state.snapshot), as_text(bytes));
  if (state.snapshot > 2) signing.change.erase(director_snapshot_key(vin, state.snapshot - 2));
  return bytes;
}

Result<CachedDocument> sign_timestamp(const Signing& signing, const Bytes& snapshot) {
  DirectorState& state = signing.state;
  ++state.timestamp;
  const auto by = TRY(signing.signers(Role::kTimestamp));
  const Bytes bytes =
      TRY(manifest::make_timestamp({.version = state.timestamp,
                                    .expires = signing.now + kTimestampLifeSeconds,
                                    .snapshot = manifest::describe_file(state.snapshot, snapshot),
                                    .custom = manifest::director_custom(signing.car.vin)},
                                   by));
  CachedDocument document{.resign_at = signing.now + kTimestampLifeSeconds / 2,
                          .certificate = signing.car.pairing->certificate,
                          .bytes = std::string(as_text(bytes)),
                          .root = signing.root.version};
  signing.change.put(director_timestamp_key(signing.car.vin.text()), encode_cached(document));
  return document;
}

Result<CachedDocument> sign_all(const Services& services, Change& change,
                                const manifest::Vin& vin) {
  const UnixSeconds now = services.clock.now();
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, "system"));
  const Car& car = affairs.car();
  if (!car.pairing) return fail(ErrorCode::kNotFound, "car {} is not paired", vin.text());
  const manifest::Root root = TRY(present_director_root(change));
  if (const auto present = TRY(change.get(director_timestamp_key(vin.text())))) {
    CachedDocument document = TRY(decode_cached(*present));
    if (now < document.resign_at && document.root == root.version)
      return document;  // another call has just signed
  }
  DirectorState state = TRY(load_state(change, vin));
  const DirectorPlan plan = TRY(plan_for(change, car));
  const Signing signing{services, change, affairs, car, now, state, root};
  const SignedTargets targets = TRY(sign_targets(signing, plan));
  const Bytes snapshot = TRY(sign_snapshot(signing, targets));
  CachedDocument timestamp = TRY(sign_timestamp(signing, snapshot));
  update_wants(change, vin, state.wants, plan.wants);
  state.wants = plan.wants;
  state.root = root.version;
  state.held = plan.held;
  change.put(director_state_key(vin.text()), encode_state(state));
  return timestamp;
}

}  // namespace

Result<std::optional<CachedDocument>> cached_director_timestamp(const Services& services,
                                                                const manifest::Vin& vin) {
  const std::optional<std::string> value =
      TRY(services.store.get(director_timestamp_key(vin.text())));
  if (!value) return std::nullopt;
  CachedDocument document = TRY(decode_cached(*value));
  if (services.clock.now() >= document.resign_at) return std::nullopt;
  if (document.root != TRY(published_director_root(services))->version) return std::nullopt;
  return document;
}

Result<CachedDocument> director_timestamp(const Services& services, const manifest::Vin& vin) {
  if (auto cached = TRY(cached_director_timestamp(services, vin))) return std::move(*cached);
  return commit_with_retry(services.store,
                           [&](Change& change) { return sign_all(services, change, vin); });
}

Result<std::optional<std::string>> director_document(const Store& store, const manifest::Vin& vin,
                                                     manifest::Role role,
                                                     manifest::Version version) {
  switch (role) {
    case Role::kRoot: return store.get(director_root_key(version));
    case Role::kSnapshot: return store.get(director_snapshot_key(vin.text(), version));
    case Role::kTargets: return store.get(director_targets_key(vin.text(), version));
    case Role::kTimestamp: return std::nullopt;  // it has no numbered files
  }
  return std::nullopt;
}

Result<std::vector<HeldOrder>> held_orders(const Store& store, const manifest::Vin& vin) {
  const std::string key = director_state_key(vin.text());
  const std::optional<std::string> record = TRY(store.get(key));
  if (!record) return std::vector<HeldOrder>{};
  DirectorState state = TRY(decode_state(key, *record));
  return std::move(state.held);
}

}  // namespace layby::server
