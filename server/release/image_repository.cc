#include "server/release/image_repository.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "server/fleet/json_answer.h"
#include "server/release/image_check.h"
#include "server/release/payload_job.h"
#include "server/release/release_keys.h"
#include "server/release/role_signers.h"

namespace layby::server {

namespace {

using manifest::Json;
using manifest::Role;
using manifest::Version;

// The versions that are published now.
struct RepositoryState {
  Version root = 0;
  Version targets = 0;
  Version snapshot = 0;
  Version timestamp = 0;
  UnixSeconds snapshot_expires = 0;
  UnixSeconds targets_expires = 0;
};

Result<RepositoryState> decode_state(std::string_view record) {
  const Json json = TRY(parse_stored(kImageStateKey, record));
  RepositoryState state;
  state.root = TRY(manifest::uint_field(json, "root"));
  state.targets = TRY(manifest::uint_field(json, "targets"));
  state.snapshot = TRY(manifest::uint_field(json, "snapshot"));
  state.timestamp = TRY(manifest::uint_field(json, "timestamp"));
  state.snapshot_expires = TRY(manifest::time_field(json, "snapshot_expires"));
  state.targets_expires = TRY(manifest::time_field(json, "targets_expires"));
  return state;
}

Result<RepositoryState> load_state(Change& change) {
  const std::optional<std::string> record = TRY(change.get(kImageStateKey));
  if (!record) return fail(ErrorCode::kUnavailable, "there is no Image repository yet");
  return decode_state(*record);
}

void save_state(Change& change, const RepositoryState& state) {
  change.put(kImageStateKey, to_stored(Json{
                                 {"root", state.root},
                                 {"targets", state.targets},
                                 {"snapshot", state.snapshot},
                                 {"timestamp", state.timestamp},
                                 {"snapshot_expires", format_utc(state.snapshot_expires)},
                                 {"targets_expires", format_utc(state.targets_expires)},
                             }));
}

Result<std::string> stored_document(Change& change, const std::string& key) {
  std::optional<std::string> bytes = TRY(change.get(key));
  if (!bytes) return fail(ErrorCode::kCorrupt, "{} is missing", key);
  return std::move(*bytes);
}

std::string text_of(const Bytes& bytes) {
  return std::string(as_text(bytes));
}

void put_timestamp(Change& change, const Bytes& timestamp, UnixSeconds now) {
  change.put(kImageTimestampKey, encode_cached({.resign_at = now + kTimestampLifeSeconds / 2,
                                                .certificate = std::nullopt,
                                                .bytes = text_of(timestamp)}));
}

// Signs snapshot and timestamp around these targets and writes them and the state.
Result<manifest::OnlineRoles> put_online_roles(Change& change, const OnlineKeys& keys,
                                               const manifest::Root& root, RepositoryState& state,
                                               ByteSpan targets, UnixSeconds now) {
  ++state.snapshot;
  ++state.timestamp;
  state.snapshot_expires = now + kSnapshotLifeSeconds;
  const auto snapshot_by = TRY(role_signers(keys, Repository::kImage, Role::kSnapshot, root));
  const auto timestamp_by = TRY(role_signers(keys, Repository::kImage, Role::kTimestamp, root));
  manifest::OnlineRoles roles =
      TRY(manifest::make_online_roles(state.targets, targets,
                                      {.snapshot = state.snapshot,
                                       .timestamp = state.timestamp,
                                       .snapshot_expires = state.snapshot_expires,
                                       .timestamp_expires = now + kTimestampLifeSeconds},
                                      snapshot_by, timestamp_by));
  change.put(image_snapshot_key(state.snapshot), as_text(roles.snapshot));
  put_timestamp(change, roles.timestamp, now);
  save_state(change, state);
  return roles;
}

Result<CachedDocument> load_timestamp(Change& change) {
  const std::string value = TRY(stored_document(change, std::string(kImageTimestampKey)));
  return decode_cached(value);
}

// What a client sees that comes now, with what it has stored from before.
Result<manifest::TrustedRepository> refresh_as_client(const manifest::StoredRoles& stored,
                                                      const manifest::OnlineRoles& roles,
                                                      ByteSpan targets, UnixSeconds now,
                                                      ByteSpan next_root = {}) {
  manifest::TrustedRepository client = TRY(manifest::TrustedRepository::load(stored));
  manifest::Refresh refresh(client, now);
  bool is_root_next = !next_root.empty();
  while (const auto request = refresh.next()) {
    switch (request->role) {
      case Role::kRoot:
        if (std::exchange(is_root_next, false))
          TRY_VOID(refresh.give(next_root));
        else
          TRY_VOID(refresh.give_absent());
        break;
      case Role::kTimestamp: TRY_VOID(refresh.give(roles.timestamp)); break;
      case Role::kSnapshot: TRY_VOID(refresh.give(roles.snapshot)); break;
      case Role::kTargets: TRY_VOID(refresh.give(targets)); break;
    }
  }
  TRY_VOID(client.check_current(now));
  return client;
}

Result<void> check_as_clients(const manifest::StoredRoles& present,
                              const manifest::OnlineRoles& roles, ByteSpan targets, UnixSeconds now,
                              ByteSpan next_root = {}) {
  const manifest::StoredRoles fresh{
      .root = present.root, .timestamp = {}, .snapshot = {}, .targets = {}};
  for (const manifest::StoredRoles* stored : {&fresh, &present}) {
    const manifest::TrustedRepository client = TRY_CONTEXT(
        refresh_as_client(*stored, roles, targets, now, next_root), "as a client sees it");
    LAYBY_ASSERT(client.targets() != nullptr);
  }
  return {};
}

Result<manifest::StoredRoles> load_present(Change& change, const RepositoryState& state) {
  const CachedDocument timestamp = TRY(load_timestamp(change));
  const std::string root = TRY(stored_document(change, image_root_key(state.root)));
  const std::string snapshot = TRY(stored_document(change, image_snapshot_key(state.snapshot)));
  const std::string targets = TRY(stored_document(change, image_targets_key(state.targets)));
  return manifest::StoredRoles{.root = to_bytes(root),
                               .timestamp = to_bytes(timestamp.bytes),
                               .snapshot = to_bytes(snapshot),
                               .targets = to_bytes(targets)};
}

Result<manifest::Targets> check_next_targets(const manifest::TrustedRepository& present,
                                             ByteSpan bytes, UnixSeconds now) {
  manifest::Targets next = TRY(present.check_next_targets(bytes, now));
  const Version expected = (*present.targets())->version + 1;
  if (next.version != expected)
    return fail(ErrorCode::kRollback, "the next targets are version {}, these are version {}",
                expected, next.version);
  if (next.delegations)
    return fail(ErrorCode::kUnsupported, "delegated targets cannot be published");
  return next;
}

// Records of the images and their jobs.
Result<Publication> put_images(Change& change, const CheckedImages& checked, Version version,
                               UnixSeconds now, std::size_t delta_bases, delta::Profile profile) {
  Publication publication{.version = version, .new_images = {}, .withdrawn = {}, .jobs = 0};
  std::vector<PayloadJob> jobs;
  const auto add_job = [&](JobKind kind, const Image& image, std::optional<JobBase> base) {
    PayloadJob job;
    job.kind = kind;
    job.image = image.entry.name.text();
    job.image_sha256 = image.entry.sha256;
    job.image_bytes = image.entry.length;
    job.base = std::move(base);
    job.profile = profile;
    job.queued = job.not_before = now;
    jobs.push_back(std::move(job));
  };
  for (const Image& image : checked.changed_listing) {
    change.put(image_key(image.entry.name.text()), encode_image(image));
    add_job(JobKind::kAnnounce, image, std::nullopt);
    if (image.listing == Listing::kWithdrawn)
      publication.withdrawn.push_back(image.entry.name.text());
  }
  for (const Image& image : checked.fresh) put_fresh_image(change, image);
  for (const Image& image : checked.fresh) {
    for (const Image& base : TRY(delta_bases_of(change, image, delta_bases)))
      add_job(JobKind::kDelta, image, JobBase{base.entry.name.text(), base.entry.sha256});
    add_job(JobKind::kFull, image, std::nullopt);
    publication.new_images.push_back(image.entry.name.text());
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].id = job_id(version, i);
    save_job(change, jobs[i]);
  }
  publication.jobs = jobs.size();
  return publication;
}

void warn_of_expiry(const Services& services, const RepositoryState& state) {
  constexpr UnixSeconds kWarnSeconds = 60 * kDaySeconds;
  if (state.targets_expires - services.clock.now() < kWarnSeconds)
    services.log(LogLevel::kWarning, "image targets expire soon: sign the next version offline",
                 {{"expires", format_utc(state.targets_expires)}});
}

Result<std::string> resign_timestamp(const Services& services, Change& change) {
  const UnixSeconds now = services.clock.now();
  CachedDocument present = TRY(load_timestamp(change));
  if (now < present.resign_at) return std::move(present.bytes);  // somebody else was faster
  RepositoryState state = TRY(load_state(change));
  warn_of_expiry(services, state);
  const manifest::Root root = TRY(present_image_root(change));
  if (state.snapshot_expires - now < kSnapshotLifeSeconds / 2) {
    const std::string targets = TRY(stored_document(change, image_targets_key(state.targets)));
    const manifest::OnlineRoles roles =
        TRY(put_online_roles(change, services.keys, root, state, as_bytes(targets), now));
    return text_of(roles.timestamp);
  }
  const std::string snapshot = TRY(stored_document(change, image_snapshot_key(state.snapshot)));
  ++state.timestamp;
  const auto by = TRY(role_signers(services.keys, Repository::kImage, Role::kTimestamp, root));
  const Bytes timestamp = TRY(manifest::make_timestamp(
      {.version = state.timestamp,
       .expires = now + kTimestampLifeSeconds,
       .snapshot = manifest::describe_file(state.snapshot, as_bytes(snapshot))},
      by));
  put_timestamp(change, timestamp, now);
  save_state(change, state);
  return text_of(timestamp);
}

}  // namespace

Result<void> seed_repositories(Store& store, const OnlineKeys& keys, const FirstDocuments& first,
                               UnixSeconds now) {
  return commit_with_retry(store, [&](Change& change) -> Result<void> {
    if (TRY(change.get(kImageStateKey)))
      return fail(ErrorCode::kAlreadyExists, "there is an Image repository already");
    RepositoryState state;
    state.root = state.targets = 1;
    const manifest::OnlineRoles roles = TRY(put_online_roles(
        change, keys, TRY(read_root(as_text(first.image_root))), state, first.image_targets, now));
    const manifest::TrustedRepository client = TRY(refresh_as_client(
        {.root = first.image_root, .timestamp = {}, .snapshot = {}, .targets = {}}, roles,
        first.image_targets, now));
    state.targets_expires = (*client.targets())->expires;
    save_state(change, state);
    // The Director's root must hold by itself too; its other roles are made per car.
    TRY_VOID(manifest::TrustedRepository::load(
        {.root = first.director_root, .timestamp = {}, .snapshot = {}, .targets = {}}));
    change.put(image_root_key(1), as_text(first.image_root));
    change.put(image_targets_key(1), as_text(first.image_targets));
    change.put(director_root_key(1), as_text(first.director_root));
    return {};
  });
}

Result<Publication> publish_targets(const Services& services, ByteSpan targets,
                                    delta::Profile profile) {
  KnownBytes known;  // images are read once, also when the commit has to be tried again
  const auto publish = [&](Change& change) -> Result<Publication> {
    const UnixSeconds now = services.clock.now();
    RepositoryState state = TRY(load_state(change));
    const manifest::StoredRoles present = TRY(load_present(change, state));
    if (std::ranges::equal(*present.targets, targets))
      return Publication{.version = state.targets, .new_images = {}, .withdrawn = {}, .jobs = 0};
    const manifest::TrustedRepository trusted = TRY(manifest::TrustedRepository::load(present));
    if (trusted.targets() == nullptr)
      return fail(ErrorCode::kCorrupt, "the published Image repository does not verify");
    const manifest::Targets next = TRY(check_next_targets(trusted, targets, now));
    const CheckedImages checked =
        TRY(check_images(services, change, **trusted.targets(), next, known));
    state.targets = next.version;
    state.targets_expires = next.expires;
    const manifest::OnlineRoles roles =
        TRY(put_online_roles(change, services.keys, *trusted.root(), state, targets, now));
    TRY_VOID(check_as_clients(present, roles, targets, now));
    change.put(image_targets_key(next.version), as_text(targets));
    return put_images(change, checked, next.version, now, services.delta_bases, profile);
  };
  Publication publication = TRY(commit_with_retry(services.store, publish));
  if (publication.jobs > 0) services.wake_payload_worker();
  return publication;
}

Result<manifest::Root> present_image_root(Change& change) {
  const RepositoryState state = TRY(load_state(change));
  return read_root(TRY(stored_document(change, image_root_key(state.root))));
}

Result<manifest::Version> publish_image_root(const Services& services, ByteSpan root) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<manifest::Version> {
    const UnixSeconds now = services.clock.now();
    RepositoryState state = TRY(load_state(change));
    const manifest::StoredRoles present = TRY(load_present(change, state));
    if (std::ranges::equal(present.root, root)) return state.root;
    auto client = TRY(manifest::TrustedRepository::load(present));
    TRY_VOID(client.accept_root(root));
    TRY_VOID(check_serves_cars(services, Repository::kImage, *client.root()));
    state.root = client.root()->version;
    const manifest::OnlineRoles roles =
        TRY(put_online_roles(change, services.keys, *client.root(), state, *present.targets, now));
    // Targets that have expired meanwhile are not this root's fault: they can only be renewed under
    // a root that is valid.
    TRY_VOID(client.check_root_expiry(now));
    const UnixSeconds then = std::min(now, state.targets_expires - 1);
    TRY_VOID(check_as_clients(present, roles, *present.targets, then, root));
    change.put(image_root_key(state.root), as_text(root));
    return state.root;
  });
}

Result<std::string> image_timestamp(const Services& services) {
  const std::optional<std::string> value = TRY(services.store.get(kImageTimestampKey));
  if (!value) return fail(ErrorCode::kUnavailable, "there is no Image repository yet");
  CachedDocument document = TRY(decode_cached(*value));
  if (services.clock.now() < document.resign_at) return std::move(document.bytes);
  return commit_with_retry(services.store,
                           [&](Change& change) { return resign_timestamp(services, change); });
}

Result<std::optional<std::string>> image_document(const Store& store, manifest::Role role,
                                                  manifest::Version version) {
  switch (role) {
    case Role::kRoot: return store.get(image_root_key(version));
    case Role::kSnapshot: return store.get(image_snapshot_key(version));
    case Role::kTargets: return store.get(image_targets_key(version));
    case Role::kTimestamp: return std::nullopt;  // it has no numbered files
  }
  return std::nullopt;
}

}  // namespace layby::server
