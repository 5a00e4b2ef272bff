#include "server/release/image_repository.h"

#include <algorithm>
#include <mutex>
#include <ranges>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/metadata_checks.h"
#include "manifest/metadata_json.h"
#include "manifest/target_search.h"
#include "server/release/delegation_tree.h"
#include "server/release/image_check.h"
#include "server/release/image_state.h"
#include "server/release/payload_job.h"
#include "server/release/release_keys.h"
#include "server/release/role_signers.h"

namespace layby::server {

namespace {

using manifest::Role;
using manifest::Version;

std::string text_of(const Bytes& bytes) {
  return std::string(as_text(bytes));
}

// When half its life is over, or earlier, when a delegated role expires: what stands on that one is
// withdrawn then (resign_timestamp).
void put_timestamp(Change& change, const ImageState& state, const Bytes& timestamp,
                   UnixSeconds now) {
  UnixSeconds resign_at = now + kTimestampLifeSeconds / 2;
  for (const auto& [name, role] : state.delegated)
    if (role.is_believed) resign_at = std::min(resign_at, role.expires);
  change.put(kImageTimestampKey, encode_cached({.resign_at = resign_at,
                                                .certificate = std::nullopt,
                                                .bytes = text_of(timestamp)}));
}

// What the snapshot lists.
using Files = std::map<std::string, manifest::FileEntry>;

// Signs snapshot and timestamp around these files and writes them and the state.
Result<manifest::OnlineRoles> put_online_roles(Change& change, const OnlineKeys& keys,
                                               const manifest::Root& root, ImageState& state,
                                               Files files, UnixSeconds now) {
  ++state.snapshot;
  ++state.timestamp;
  state.snapshot_expires = now + kSnapshotLifeSeconds;
  const auto snapshot_by = TRY(role_signers(keys, Repository::kImage, Role::kSnapshot, root));
  const auto timestamp_by = TRY(role_signers(keys, Repository::kImage, Role::kTimestamp, root));
  manifest::OnlineRoles roles =
      TRY(manifest::make_online_roles(std::move(files),
                                      {.snapshot = state.snapshot,
                                       .timestamp = state.timestamp,
                                       .snapshot_expires = state.snapshot_expires,
                                       .timestamp_expires = now + kTimestampLifeSeconds},
                                      snapshot_by, timestamp_by));
  change.put(image_snapshot_key(state.snapshot), as_text(roles.snapshot));
  put_timestamp(change, state, roles.timestamp, now);
  save_image_state(change, state);
  return roles;
}

// What is published after a commit, as clients fetch it.
struct NextSet {
  manifest::OnlineRoles online;
  Bytes targets;
  DelegationTree::Documents delegated;
  Bytes root;  // empty: none but the present one
};

// What a client sees that comes now, with what it has stored from before.
Result<manifest::TrustedRepository> refresh_as_client(const manifest::StoredRoles& stored,
                                                      const NextSet& next, UnixSeconds now) {
  manifest::TrustedRepository client = TRY(manifest::TrustedRepository::load(stored));
  manifest::Refresh refresh(client, now);
  bool is_root_next = !next.root.empty();
  while (const auto request = refresh.next()) {
    switch (request->role) {
      case Role::kRoot:
        if (std::exchange(is_root_next, false))
          TRY_VOID(refresh.give(next.root));
        else
          TRY_VOID(refresh.give_absent());
        break;
      case Role::kTimestamp: TRY_VOID(refresh.give(next.online.timestamp)); break;
      case Role::kSnapshot: TRY_VOID(refresh.give(next.online.snapshot)); break;
      case Role::kTargets: TRY_VOID(refresh.give(next.targets)); break;
    }
  }
  TRY_VOID(client.check_current(now));
  return client;
}

Result<void> search_as_client(manifest::TrustedRepository& client, const NextSet& next,
                              const manifest::ImageEntry& entry, const manifest::Target& target,
                              UnixSeconds now, manifest::VerifiedRoles& roles) {
  const std::string& name = entry.name.text();
  constexpr std::size_t kHardwareMax = 4;  // as with the images (DelegationTree::samples)
  for (const manifest::HardwareId& hardware : entry.hardware_ids | std::views::take(kHardwareMax)) {
    manifest::TargetSearch search(client, name, now, hardware, &roles);
    while (const auto request = search.next()) {
      const auto document = next.delegated.find(request->delegated);
      if (document == next.delegated.end())
        TRY_VOID(search.give_absent());
      else
        TRY_VOID(search.give(document->second));
    }
    const manifest::Target* found = TRY(search.found());
    if (found == nullptr || *found != target)
      return fail(ErrorCode::kMixAndMatch, "image {}: not what is found for hardware {}", name,
                  hardware.text());
  }
  return {};
}

// A client that has only the root and one that has what is published now: both take the next set,
// and find the images in it.
Result<void> check_as_clients(const manifest::StoredRoles& present, const NextSet& next,
                              const DelegationTree::ListedImages& images, UnixSeconds now) {
  const manifest::StoredRoles fresh{
      .root = present.root, .timestamp = {}, .snapshot = {}, .targets = {}};
  for (const manifest::StoredRoles* stored : {&fresh, &present}) {
    manifest::TrustedRepository client =
        TRY_CONTEXT(refresh_as_client(*stored, next, now), "as a client sees it");
    LAYBY_ASSERT(client.targets() != nullptr);
    manifest::VerifiedRoles roles;
    for (const auto& [name, target] : images)
      TRY_VOID(search_as_client(client, next, TRY(manifest::read_image_entry(name, target)), target,
                                now, roles));
  }
  return {};
}

Result<manifest::Targets> check_next_targets(const manifest::TrustedRepository& present,
                                             ByteSpan bytes, UnixSeconds now) {
  manifest::Targets next = TRY(present.check_next_targets(bytes, now));
  const Version expected = (*present.targets())->version + 1;
  if (next.version != expected)
    return fail(ErrorCode::kRollback, "the next targets are version {}, these are version {}",
                expected, next.version);
  TRY_VOID(check_delegations("targets", next));
  return next;
}

Error not_delegated(const DelegationTree& present, const std::string& role) {
  const auto disowned = present.disowned_delegators_of(role);
  if (disowned.empty())
    return Error(ErrorCode::kNotFound,
                 fmt::format("role {}: no targets that are published delegate to it: publish the "
                             "delegation first",
                             role));
  return Error(ErrorCode::kNotFound, fmt::format("role {}: {}", role, fmt::join(disowned, "; ")));
}

// The operator's word comes first: where the top-level targets delegate to the role, it is signed
// as they ask. Else as one of the roles asks that do, and as each asks that the present document is
// signed for: no supplier replaces what another one's role says. If all had to agree, any supplier
// could stop another's publications by delegating to its role as well; and if the operator's word
// were one of many, publish in its place.
Result<void> check_signatures(std::vector<DelegationTree::Delegator> delegators,
                              const std::string& role, const manifest::Envelope& envelope) {
  const auto is_below = [](const auto& delegator) { return delegator.role != "targets"; };
  if (!std::ranges::all_of(delegators, is_below)) std::erase_if(delegators, is_below);
  std::optional<Error> first;
  bool is_good = false;
  for (const auto& delegator : delegators) {
    const auto verified = manifest::verify_threshold(
        envelope, *delegator.keys, delegator.delegation->keys,
        fmt::format("role {}, by the keys that {} delegates to", role, delegator.role));
    if (!verified && delegator.is_signed && delegators.size() > 1)
      return fail(verified.error().code(),
                  "{}; its present version is, and no other supplier replaces that: sign it for "
                  "both, take {}'s delegation away, or let the targets delegate to it, whose word "
                  "comes first",
                  verified.error().message(), delegator.role);
    is_good = is_good || verified.has_value();
    if (!verified && !first) first = verified.error();
  }
  LAYBY_ASSERT(is_good || first);  // somebody delegates to it
  if (!is_good) return fail(*first);
  return {};
}

Result<manifest::Targets> check_next_delegated(const DelegationTree& present,
                                               const ImageState& state, const std::string& role,
                                               ByteSpan bytes, UnixSeconds now) {
  auto delegators = present.delegators_of(role);
  if (delegators.empty()) return fail(not_delegated(present, role));
  const auto envelope =
      TRY_CONTEXT(manifest::Envelope::parse(bytes, kTargetsBytesMax), "role " + role);
  TRY_VOID(check_signatures(std::move(delegators), role, envelope));
  manifest::Targets next =
      TRY_CONTEXT(manifest::decode_targets(envelope.signed_part()), "role " + role);
  const auto before = state.delegated.find(role);
  const Version expected = before == state.delegated.end() ? 1 : before->second.version + 1;
  if (next.version != expected)
    return fail(ErrorCode::kRollback, "role {}: its next version is {}, this is version {}", role,
                expected, next.version);
  TRY_VOID(manifest::check_expiry("role " + role, next.expires, now));
  TRY_VOID(check_delegations(role, next));
  return next;
}

// What no car would believe is not published.
Result<void> check_authorised(const DelegationTree& next, const std::string& role,
                              const manifest::ImageEntry& entry, const manifest::Target& target) {
  const std::string& name = entry.name.text();
  for (const manifest::HardwareId& hardware : entry.hardware_ids) {
    if (!next.may_speak(role, name, hardware))
      return fail(ErrorCode::kForbidden,
                  "image {}: role {} may not speak of it for hardware {}: no chain of "
                  "delegations from the targets has both among its paths and hardwareIds",
                  name, role, hardware.text());
    const manifest::Target* found = next.find(name, hardware);
    if (found == nullptr || *found != target)
      return fail(ErrorCode::kForbidden,
                  "image {}: cars with hardware {} do not come to role {} for it: a role before "
                  "it is not there or not signed as it must be, or its delegation is terminating",
                  name, hardware.text(), role);
  }
  return {};
}

// The images that the role names and cars do not find: all were published before. To refuse these
// would leave a supplier of a narrower scope without a next version.
Result<std::vector<std::string>> check_all_authorised(Change& change, const DelegationTree& next,
                                                      const std::string& role,
                                                      const manifest::Targets& targets) {
  std::vector<std::string> out_of_reach;
  for (const auto& [name, target] : targets.targets) {
    const auto entry = TRY_CONTEXT(manifest::read_image_entry(name, target), "role " + role);
    const std::optional<Image> before = TRY(image(reader(change), name));
    TRY_VOID(check_unchanged(before, name, target));
    if (!before)
      TRY_VOID(check_authorised(next, role, entry, target));
    else if (!next.finds(entry, target))
      out_of_reach.push_back(name);
  }
  return out_of_reach;
}

// What cars could look up before, or what is new, must not lie behind their bounds.
Result<void> check_bounds(const DelegationTree& before, const DelegationTree& next) {
  const auto known = before.out_of_bounds();
  for (const auto& [image, why] : next.out_of_bounds())
    if (!known.contains(image))
      return fail(ErrorCode::kTooLarge,
                  "image {}: {}, and cars look no further: delegate by narrower paths or "
                  "hardwareIds, put its role before the others, or split what large roles say",
                  image, why);
  return {};
}

std::string warning_of(const std::string& role, const std::vector<std::string>& out_of_reach) {
  constexpr std::size_t kNamedMax = 10;
  const std::size_t named = std::min(out_of_reach.size(), kNamedMax);
  std::string text = fmt::format("role {} names images that cars do not find: {}", role,
                                 fmt::join(out_of_reach | std::views::take(named), ", "));
  if (named < out_of_reach.size()) text += fmt::format(" and {} more", out_of_reach.size() - named);
  return text + "; they are withdrawn";
}

// Records of the images and their jobs.
Result<Publication> put_images(Change& change, const CheckedImages& checked, Version snapshot,
                               UnixSeconds now, std::size_t delta_bases, delta::Profile profile) {
  Publication publication;
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
    auto& names =
        image.listing == Listing::kWithdrawn ? publication.withdrawn : publication.listed_again;
    names.push_back(image.entry.name.text());
  }
  for (const Image& image : checked.fresh) put_fresh_image(change, image);
  for (const Image& image : checked.fresh) {
    for (const Image& base : TRY(delta_bases_of(change, image, delta_bases)))
      add_job(JobKind::kDelta, image, JobBase{base.entry.name.text(), base.entry.sha256});
    add_job(JobKind::kFull, image, std::nullopt);
    publication.new_images.push_back(image.entry.name.text());
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].id = job_id(snapshot, i);
    save_job(change, jobs[i]);
  }
  publication.jobs = jobs.size();
  return publication;
}

void warn_of_unfound(const Services& services, const std::string& text) {
  services.log(LogLevel::kWarning, "cars do not find all that the Image repository names",
               {{"what", text}});
}

void warn_of_expiry(const Services& services, const ImageState& state) {
  constexpr UnixSeconds kWarnSeconds = 60 * kDaySeconds;
  const auto warn = [&](const std::string& role, UnixSeconds expires) {
    if (expires - services.clock.now() < kWarnSeconds)
      services.log(LogLevel::kWarning, "image targets expire soon: sign the next version offline",
                   {{"role", role}, {"expires", format_utc(expires)}});
  };
  warn("targets", state.targets_expires);
  for (const auto& [name, role] : state.delegated)
    if (role.is_believed) warn(name, role.expires);
}

Result<manifest::TrustedRepository> trust(const manifest::StoredRoles& present) {
  manifest::TrustedRepository trusted = TRY(manifest::TrustedRepository::load(present));
  if (trusted.targets() == nullptr)
    return fail(ErrorCode::kCorrupt, "the published Image repository does not verify");
  return trusted;
}

// Cars find no image of a role that has expired, and would refuse all orders for one that is given
// such a one. How many jobs tell the cars that want it.
Result<std::size_t> withdraw_expired(const Services& services, Change& change, ImageState& state,
                                     UnixSeconds now) {
  const bool is_due = std::ranges::any_of(state.delegated, [&](const auto& named) {
    return named.second.is_believed && named.second.expires <= now;
  });
  if (!is_due) return 0;
  const manifest::StoredRoles present = TRY(load_present(change, state));
  const manifest::TrustedRepository trusted = TRY(trust(present));
  const auto tree = TRY(DelegationTree::build(**trusted.targets(), present.delegated, now));
  const auto listed = TRY(tree.listed());
  KnownBytes known;
  const CheckedImages checked =
      TRY(check_images(services, change, tree.named(), listed, state.targets, known));
  for (auto& [name, role] : state.delegated) role.is_believed = tree.is_believed(name);
  for (const std::string& text : tree.gaps()) warn_of_unfound(services, text);
  // The snapshot that is signed with this names the jobs.
  return TRY(put_images(change, checked, state.snapshot + 1, now, services.delta_bases,
                        delta::Profile::kSmall))
      .jobs;
}

Result<std::string> resign_timestamp(const Services& services, Change& change, std::size_t& jobs) {
  const UnixSeconds now = services.clock.now();
  CachedDocument present = TRY(load_timestamp(change));
  if (now < present.resign_at) return std::move(present.bytes);  // somebody else was faster
  ImageState state = TRY(load_image_state(change));
  warn_of_expiry(services, state);
  const manifest::Root root = TRY(present_image_root(change));
  jobs = TRY(withdraw_expired(services, change, state, now));
  if (jobs > 0 || state.snapshot_expires - now < kSnapshotLifeSeconds / 2) {
    Files files = TRY(present_files(change, state));
    const manifest::OnlineRoles roles =
        TRY(put_online_roles(change, services.keys, root, state, std::move(files), now));
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
  put_timestamp(change, state, timestamp, now);
  save_image_state(change, state);
  return text_of(timestamp);
}

// One role's next document, and what the repository is with it.
struct NextDocument {
  std::string role;  // "targets" or a delegated one
  Version version = 1;
  Bytes bytes;
  std::string key;               // where it goes
  std::set<std::string> before;  // images that its present version names
};

// What a client looks for to see that the walk of `tree` is its own: of what the commit offers, and
// of each role.
DelegationTree::ListedImages to_be_proved(const CheckedImages& checked, const DelegationTree& tree,
                                          const DelegationTree::ListedImages& listed) {
  DelegationTree::ListedImages offered;
  for (const Image& image : checked.fresh) offered.emplace(image.entry.name.text(), image.target);
  for (const Image& image : checked.changed_listing)
    if (image.listing == Listing::kListed) offered.emplace(image.entry.name.text(), image.target);
  return tree.samples(offered, listed);
}

struct Publisher {
  const Services& services;
  delta::Profile profile;
  KnownBytes known = {};  // images are read once, also when the commit has to be tried again

  Result<Publication> publish(Change& change, ImageState state,
                              const manifest::StoredRoles& present, const NextDocument& document,
                              NextSet next, const DelegationTree& tree, UnixSeconds now) {
    std::set<std::string> named = tree.named();
    named.insert(document.before.begin(), document.before.end());
    const auto listed = TRY(tree.listed());
    const CheckedImages checked =
        TRY(check_images(services, change, named, listed, document.version, known));
    for (auto& [name, role] : state.delegated) role.is_believed = tree.is_believed(name);
    Files files = TRY(present_files(change, state));
    files[document.role + ".json"] = manifest::describe_file(document.version, document.bytes);
    const auto root = TRY(read_root(as_text(present.root)));
    next.online = TRY(put_online_roles(change, services.keys, root, state, std::move(files), now));
    TRY_VOID(check_as_clients(present, next, to_be_proved(checked, tree, listed), now));
    change.put(document.key, as_text(document.bytes));
    Publication publication =
        TRY(put_images(change, checked, state.snapshot, now, services.delta_bases, profile));
    publication.version = document.version;
    publication.warnings = tree.gaps();
    return publication;
  }
};

std::set<std::string> names_in(const manifest::Targets& targets) {
  std::set<std::string> names;
  for (const auto& [name, target] : targets.targets) names.insert(name);
  return names;
}

// It is published already. What cars do not find of it is said again.
Result<Publication> unchanged(Change& change, const manifest::StoredRoles& present,
                              const std::string& role, Version version, UnixSeconds now) {
  const manifest::TrustedRepository trusted = TRY(trust(present));
  const auto tree = TRY(DelegationTree::build(**trusted.targets(), present.delegated, now));
  Publication publication;
  publication.version = version;
  publication.warnings = tree.gaps();
  const auto document = present.delegated.find(role);
  if (document == present.delegated.end()) return publication;
  const auto envelope = TRY(manifest::Envelope::parse(document->second, kTargetsBytesMax));
  const auto targets = TRY(manifest::decode_targets(envelope.signed_part()));
  const auto out_of_reach = TRY(check_all_authorised(change, tree, role, targets));
  if (!out_of_reach.empty()) publication.warnings.push_back(warning_of(role, out_of_reach));
  return publication;
}

Result<Publication> announce(const Services& services, Result<Publication> publication) {
  if (!publication) return publication;
  for (const std::string& text : publication->warnings) warn_of_unfound(services, text);
  if (publication->jobs > 0) services.wake_payload_worker();
  return publication;
}

}  // namespace

Result<void> seed_repositories(Store& store, const OnlineKeys& keys, const FirstDocuments& first,
                               UnixSeconds now) {
  return commit_with_retry(store, [&](Change& change) -> Result<void> {
    if (TRY(change.get(kImageStateKey)))
      return fail(ErrorCode::kAlreadyExists, "there is an Image repository already");
    ImageState state;
    state.root = state.targets = 1;
    const Files files{{"targets.json", manifest::describe_file(1, first.image_targets)}};
    NextSet next{.online = {}, .targets = first.image_targets, .delegated = {}, .root = {}};
    next.online = TRY(put_online_roles(change, keys, TRY(read_root(as_text(first.image_root))),
                                       state, files, now));
    const manifest::TrustedRepository client = TRY(refresh_as_client(
        {.root = first.image_root, .timestamp = {}, .snapshot = {}, .targets = {}}, next, now));
    state.targets_expires = (*client.targets())->expires;
    save_image_state(change, state);
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
  Publisher publisher{services, profile};
  const auto publish = [&](Change& change) -> Result<Publication> {
    const UnixSeconds now = services.clock.now();
    ImageState state = TRY(load_image_state(change));
    const manifest::StoredRoles present = TRY(load_present(change, state));
    if (std::ranges::equal(*present.targets, targets))
      return unchanged(change, present, "targets", state.targets, now);
    const manifest::TrustedRepository trusted = TRY(trust(present));
    const manifest::Targets next = TRY(check_next_targets(trusted, targets, now));
    const auto tree = TRY(DelegationTree::build(next, present.delegated, now));
    TRY_VOID(check_bounds(TRY(DelegationTree::build(**trusted.targets(), present.delegated, now)),
                          tree));
    state.targets = next.version;
    state.targets_expires = next.expires;
    const NextDocument document{.role = "targets",
                                .version = next.version,
                                .bytes = Bytes(targets.begin(), targets.end()),
                                .key = image_targets_key(next.version),
                                .before = names_in(**trusted.targets())};
    NextSet set{
        .online = {}, .targets = document.bytes, .delegated = present.delegated, .root = {}};
    return publisher.publish(change, std::move(state), present, document, std::move(set), tree,
                             now);
  };
  return announce(services, commit_with_retry(services.store, publish));
}

Result<Publication> publish_delegated(const Services& services, const std::string& role,
                                      ByteSpan targets, delta::Profile profile) {
  Publisher publisher{services, profile};
  const auto publish = [&](Change& change) -> Result<Publication> {
    const UnixSeconds now = services.clock.now();
    ImageState state = TRY(load_image_state(change));
    const manifest::StoredRoles present = TRY(load_present(change, state));
    const auto before = present.delegated.find(role);
    if (before != present.delegated.end() && std::ranges::equal(before->second, targets))
      return unchanged(change, present, role, state.delegated.at(role).version, now);
    const manifest::TrustedRepository trusted = TRY(trust(present));
    const manifest::Targets& top = **trusted.targets();
    const auto tree_before = TRY(DelegationTree::build(top, present.delegated, now));
    const manifest::Targets next =
        TRY(check_next_delegated(tree_before, state, role, targets, now));
    const NextDocument document{.role = role,
                                .version = next.version,
                                .bytes = Bytes(targets.begin(), targets.end()),
                                .key = delegated_key(role, next.version),
                                .before = tree_before.named()};
    NextSet set{
        .online = {}, .targets = *present.targets, .delegated = present.delegated, .root = {}};
    set.delegated.insert_or_assign(role, document.bytes);
    const auto tree = TRY(DelegationTree::build(top, set.delegated, now));
    TRY_VOID(check_bounds(tree_before, tree));
    const auto out_of_reach = TRY(check_all_authorised(change, tree, role, next));
    state.delegated.insert_or_assign(
        role, DelegatedState{.version = next.version, .expires = next.expires});
    Publication publication = TRY(
        publisher.publish(change, std::move(state), present, document, std::move(set), tree, now));
    if (!out_of_reach.empty()) publication.warnings.push_back(warning_of(role, out_of_reach));
    return publication;
  };
  return announce(services, commit_with_retry(services.store, publish));
}

Result<manifest::Root> present_image_root(Change& change) {
  const ImageState state = TRY(load_image_state(change));
  return read_root(TRY(stored_document(change, image_root_key(state.root))));
}

Result<manifest::Version> publish_image_root(const Services& services, ByteSpan root) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<manifest::Version> {
    const UnixSeconds now = services.clock.now();
    ImageState state = TRY(load_image_state(change));
    const manifest::StoredRoles present = TRY(load_present(change, state));
    if (std::ranges::equal(present.root, root)) return state.root;
    auto client = TRY(manifest::TrustedRepository::load(present));
    TRY_VOID(client.accept_root(root));
    TRY_VOID(check_serves_cars(services, Repository::kImage, *client.root()));
    state.root = client.root()->version;
    NextSet next{.online = {},
                 .targets = *present.targets,
                 .delegated = present.delegated,
                 .root = Bytes(root.begin(), root.end())};
    next.online = TRY(put_online_roles(change, services.keys, *client.root(), state,
                                       TRY(present_files(change, state)), now));
    // Targets that have expired meanwhile are not this root's fault: they can only be renewed under
    // a root that is valid.
    TRY_VOID(client.check_root_expiry(now));
    const UnixSeconds then = std::min(now, state.targets_expires - 1);
    TRY_VOID(check_as_clients(present, next, {}, then));
    change.put(image_root_key(state.root), as_text(root));
    return state.root;
  });
}

Result<std::string> image_timestamp(const Services& services) {
  const std::optional<std::string> value = TRY(services.store.get(kImageTimestampKey));
  if (!value) return fail(ErrorCode::kUnavailable, "there is no Image repository yet");
  CachedDocument document = TRY(decode_cached(*value));
  if (services.clock.now() < document.resign_at) return std::move(document.bytes);
  // Cars come in crowds: one request does the work, the others find it done (resign_timestamp).
  const std::lock_guard lock(*services.image_renewal);
  std::size_t jobs = 0;
  auto timestamp = commit_with_retry(services.store, [&](Change& change) {
    jobs = 0;
    return resign_timestamp(services, change, jobs);
  });
  if (timestamp && jobs > 0) services.wake_payload_worker();
  return timestamp;
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

Result<std::optional<std::string>> delegated_document(const Store& store,
                                                      const DelegatedFile& file) {
  return store.get(delegated_key(file.role, file.version));
}

}  // namespace layby::server
