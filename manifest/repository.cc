#include "manifest/repository.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_checks.h"
#include "manifest/metadata_json.h"

namespace layby::manifest {
namespace {

template <typename Model>
struct RoleOf;

template <>
struct RoleOf<Timestamp> {
  static constexpr Role kRole = Role::kTimestamp;
  static constexpr std::uint64_t kBytesMax = kTimestampBytesMax;
  static Result<Timestamp> decode(const Json& part) { return decode_timestamp(part); }
};
template <>
struct RoleOf<Snapshot> {
  static constexpr Role kRole = Role::kSnapshot;
  static constexpr std::uint64_t kBytesMax = kSnapshotBytesMax;
  static Result<Snapshot> decode(const Json& part) { return decode_snapshot(part); }
};
template <>
struct RoleOf<Targets> {
  static constexpr Role kRole = Role::kTargets;
  static constexpr std::uint64_t kBytesMax = kTargetsBytesMax;
  static Result<Targets> decode(const Json& part) { return decode_targets(part); }
};

// What a document may have that is parsed; what is fetched may have less (check_given_length).
template <typename Model>
std::uint64_t document_bytes_max(Rules rules) {
  using Traits = RoleOf<Model>;
  return rules == Rules::kTuf && Traits::kRole != Role::kTimestamp ? kGivenLengthMax
                                                                   : Traits::kBytesMax;
}

// Signatures first, then the contents: nothing unsigned is interpreted but the root's own keys.
template <typename Model>
Result<Model> verify_document(ByteSpan bytes, const Root& root, Rules rules) {
  using Traits = RoleOf<Model>;
  const std::string_view name = to_string(Traits::kRole);
  const Envelope envelope =
      TRY_CONTEXT(Envelope::parse(bytes, document_bytes_max<Model>(rules)), name);
  TRY_VOID(verify_threshold(envelope, root.keys, root.roles.at(Traits::kRole), name));
  return Traits::decode(envelope.signed_part());
}

// 5.3.11: rotated when a key that could sign the role no longer can.
bool key_was_rotated(const Root& before, const Root& after, Role role) {
  const auto old_keys = keys_of(before, role);
  const auto new_keys = keys_of(after, role);
  return !std::includes(new_keys.begin(), new_keys.end(), old_keys.begin(), old_keys.end());
}

// The same statement, whoever signed it: ECDSA and RSA signatures differ each time they are made.
bool same_signed_part(ByteSpan a, ByteSpan b, std::uint64_t bytes_max) {
  if (std::ranges::equal(a, b)) return true;
  const auto one = Envelope::parse(a, bytes_max);
  const auto other = Envelope::parse(b, bytes_max);
  return one && other && one->canonical() == other->canonical();
}

// 5.5.5: an entry neither vanishes nor goes back.
Result<void> check_entries(const Snapshot& trusted, const Snapshot& next) {
  for (const auto& [name, entry] : trusted.files) {
    const auto at = next.files.find(name);
    if (at == next.files.end())
      return fail(ErrorCode::kRollback, "snapshot: {} is no longer listed", name);
    if (at->second.version < entry.version)
      return fail(ErrorCode::kRollback, "snapshot: {} goes from version {} back to {}", name,
                  entry.version, at->second.version);
  }
  return {};
}

const FileEntry& targets_entry(const Snapshot& snapshot) {
  return snapshot.files.at("targets.json");
}

}  // namespace

template <typename Model>
Result<Verified<Model>> TrustedRepository::verify(ByteSpan bytes) const {
  return Verified<Model>(TRY(verify_document<Model>(bytes, *root_, rules_)), bytes);
}

// Beyond TUF: one version has one content, for ever.
template <typename Model>
Result<void> TrustedRepository::check_successor(const std::optional<Verified<Model>>& trusted,
                                                Version version, ByteSpan bytes,
                                                std::string_view name) const {
  if (!trusted || rules_ == Rules::kTuf) return {};
  const Version old = (*trusted)->version;
  if (version < old)
    return fail(ErrorCode::kRollback, "{}: version {}, {} is trusted already", name, version, old);
  if (version == old && !same_signed_part(trusted->bytes(), bytes, RoleOf<Model>::kBytesMax))
    return fail(ErrorCode::kMixAndMatch, "{}: version {} again with other content", name, version);
  return {};
}

Result<TrustedRepository> TrustedRepository::load(const StoredRoles& stored, Rules rules) {
  const Envelope envelope =
      TRY_CONTEXT(Envelope::parse(stored.root, kRootBytesMax), "trusted root");
  Root root = TRY_CONTEXT(decode_root(envelope.signed_part()), "trusted root");
  TRY_VOID(
      verify_threshold(envelope, root.keys, root.roles.at(Role::kRoot), "the trusted root itself"));
  TrustedRepository repository(Verified<Root>(std::move(root), stored.root), rules);
  const auto keep = [&](const std::optional<Bytes>& bytes, auto& place) {
    using Model = std::remove_cvref_t<decltype(**place)>;
    if (!bytes) return;
    auto verified = repository.verify<Model>(*bytes);
    if (verified) place = std::move(*verified);
  };
  keep(stored.timestamp, repository.timestamp_);
  keep(stored.snapshot, repository.snapshot_);
  keep(stored.targets, repository.targets_);
  repository.delegated_ = stored.delegated;
  repository.relink();
  return repository;
}

const Verified<Targets>* TrustedRepository::targets() const {
  return targets_current_ ? &*targets_ : nullptr;
}

const Target* TrustedRepository::find_target(const std::string& name,
                                             const std::optional<HardwareId>& hardware) const {
  if (!targets_current_) return nullptr;
  const auto listed = (*targets_)->targets.find(name);
  if (listed != (*targets_)->targets.end()) return &listed->second;
  const auto resolved = resolved_.find({name, hardware});
  return resolved == resolved_.end() ? nullptr : &resolved->second;
}

Result<void> TrustedRepository::check_current(UnixSeconds now) const {
  if (!targets_current_)
    return fail(ErrorCode::kUnavailable, "timestamp, snapshot and targets are not all there yet");
  TRY_VOID(check_root_expiry(now));
  TRY_VOID(check_expiry("timestamp", (*timestamp_)->expires, now));
  TRY_VOID(check_expiry("snapshot", (*snapshot_)->expires, now));
  return check_expiry("targets", (*targets_)->expires, now);
}

StoredRoles TrustedRepository::stored() const {
  StoredRoles stored{root_.bytes(), {}, {}, {}, delegated_};
  if (timestamp_) stored.timestamp = timestamp_->bytes();
  if (snapshot_) stored.snapshot = snapshot_->bytes();
  if (targets_) stored.targets = targets_->bytes();
  return stored;
}

const Bytes* TrustedRepository::delegated(const std::string& role) const {
  const auto at = delegated_.find(role);
  return at == delegated_.end() ? nullptr : &at->second;
}

Result<void> TrustedRepository::accept_root(ByteSpan bytes) {
  const Envelope envelope = TRY_CONTEXT(Envelope::parse(bytes, kRootBytesMax), "root");
  // 5.3.4: the old keys' threshold and the new keys' own.
  TRY_VOID(verify_threshold(envelope, root_->keys, root_->roles.at(Role::kRoot),
                            "root, by the trusted root's keys"));
  Root next = TRY(decode_root(envelope.signed_part()));
  TRY_VOID(
      verify_threshold(envelope, next.keys, next.roles.at(Role::kRoot), "root, by its own keys"));
  // 5.3.5: exactly the next one.
  if (next.version <= root_->version)
    return fail(ErrorCode::kRollback, "root: version {}, {} is trusted already", next.version,
                root_->version);
  if (next.version != root_->version + 1)
    return fail(ErrorCode::kMixAndMatch, "root: version {} where {} belongs", next.version,
                root_->version + 1);
  const Verified<Root> before = std::move(root_);
  root_ = Verified<Root>(std::move(next), bytes);
  drop_what_root_disowns(*before);
  return {};
}

// 5.3.11, and what the new keys do not stand behind. In Uptane targets keys count too: in a
// Director all three are online, and whoever stole them could have run all three versions up.
void TrustedRepository::drop_what_root_disowns(const Root& before) {
  const auto drop = [&](auto& verified, Role role) {
    rotated_away_.push_back(role);  // not only what was loaded: the file may be there all the same
    verified.reset();
  };
  if (key_was_rotated(before, *root_, Role::kTimestamp) ||
      key_was_rotated(before, *root_, Role::kSnapshot)) {
    drop(timestamp_, Role::kTimestamp);
    drop(snapshot_, Role::kSnapshot);
  }
  if (rules_ == Rules::kUptane && key_was_rotated(before, *root_, Role::kTargets))
    drop(targets_, Role::kTargets);
  // What is only no longer signed by enough keys stays on the disk: it is not loaded from there.
  const auto keep_if_good = [&](auto& verified) {
    using Model = std::remove_cvref_t<decltype(**verified)>;
    if (verified && !verify_document<Model>(verified->bytes(), *root_, rules_)) verified.reset();
  };
  keep_if_good(timestamp_);
  keep_if_good(snapshot_);
  keep_if_good(targets_);
  relink();
}

Result<void> TrustedRepository::check_root_expiry(UnixSeconds now) const {
  return check_expiry("root", root_->expires, now);
}

template <typename Model>
Result<void> TrustedRepository::check_vehicle(const Model& model, std::string_view name) const {
  if (!vehicle_) return {};
  Json custom;
  if (!model.custom.empty())
    custom = TRY(parse_strict(as_bytes(model.custom), {.bytes_max = model.custom.size()}));
  if (find_field(custom, "vin") == nullptr)
    return fail(ErrorCode::kWrongVehicle, "{}: for no vehicle, this is {}", name, vehicle_->text());
  const std::string named = TRY_CONTEXT(text_field(custom, "vin"), name);
  if (named == vehicle_->text()) return {};
  return fail(ErrorCode::kWrongVehicle, "{}: for {}, this is {}", name, named, vehicle_->text());
}

Result<TrustedRepository::Acceptance> TrustedRepository::accept_timestamp(ByteSpan bytes,
                                                                          UnixSeconds now) {
  auto next = TRY(verify<Timestamp>(bytes));  // 5.4.2
  TRY_VOID(check_vehicle(*next, "timestamp"));
  // Uptane 2.1.0, 5.2.5: the hash is no option there.
  if (rules_ == Rules::kUptane && next->snapshot.hashes.empty())
    return fail(ErrorCode::kBadFormat, "timestamp: no hash of the snapshot");
  if (timestamp_) {
    // 5.4.3.1
    if (next->version < (*timestamp_)->version)
      return fail(ErrorCode::kRollback, "timestamp: version {}, {} is trusted already",
                  next->version, (*timestamp_)->version);
    if (next->version == (*timestamp_)->version) {
      TRY_VOID(check_expiry("timestamp", (*timestamp_)->expires, now));
      return Acceptance::kKept;
    }
    // 5.4.3.2
    if (next->snapshot.version < (*timestamp_)->snapshot.version)
      return fail(ErrorCode::kRollback, "timestamp: names snapshot {}, {} is trusted already",
                  next->snapshot.version, (*timestamp_)->snapshot.version);
  }
  TRY_VOID(check_expiry("timestamp", next->expires, now));  // 5.4.4
  timestamp_ = std::move(next);
  relink();
  return Acceptance::kNew;
}

Result<void> TrustedRepository::accept_snapshot(ByteSpan bytes, UnixSeconds now) {
  LAYBY_ASSERT(timestamp_);
  const FileEntry& entry = (*timestamp_)->snapshot;
  TRY_VOID(check_against_parent(entry, bytes, "snapshot"));  // 5.5.2
  auto next = TRY(verify<Snapshot>(bytes));                  // 5.5.3
  TRY_VOID(check_vehicle(*next, "snapshot"));
  TRY_VOID(check_version_against_parent(entry, next->version, "snapshot"));  // 5.5.4
  TRY_VOID(check_successor(snapshot_, next->version, bytes, "snapshot"));    // beyond TUF
  if (snapshot_) TRY_VOID(check_entries(**snapshot_, *next));                // 5.5.5
  TRY_VOID(check_expiry("snapshot", next->expires, now));                    // 5.5.6
  snapshot_ = std::move(next);
  relink();
  return {};
}

Result<void> TrustedRepository::accept_targets(ByteSpan bytes, UnixSeconds now) {
  LAYBY_ASSERT(snapshot_current_);
  const FileEntry& entry = targets_entry(**snapshot_);
  TRY_VOID(check_against_parent(entry, bytes, "targets"));  // 5.6.2
  auto next = TRY(verify<Targets>(bytes));                  // 5.6.3
  TRY_VOID(check_vehicle(*next, "targets"));
  TRY_VOID(check_version_against_parent(entry, next->version, "targets"));  // 5.6.4
  TRY_VOID(check_successor(targets_, next->version, bytes, "targets"));     // Uptane: rollback
  TRY_VOID(check_expiry("targets", next->expires, now));                    // 5.6.5
  targets_ = std::move(next);
  relink();
  return {};
}

Result<void> TrustedRepository::accept_targets_alone(ByteSpan bytes, UnixSeconds now) {
  auto next = TRY(verify<Targets>(bytes));
  TRY_VOID(check_vehicle(*next, "targets"));
  TRY_VOID(check_successor(targets_, next->version, bytes, "targets"));
  TRY_VOID(check_expiry("targets", next->expires, now));
  targets_ = std::move(next);
  relink();
  return {};
}

Result<Targets> TrustedRepository::check_next_targets(ByteSpan bytes, UnixSeconds now) const {
  Targets next = TRY(verify_document<Targets>(bytes, *root_, rules_));
  if (targets_ && next.version <= (*targets_)->version)
    return fail(ErrorCode::kRollback, "targets: version {}, {} is trusted already", next.version,
                (*targets_)->version);
  TRY_VOID(check_expiry("targets", next.expires, now));
  return next;
}

// Works out which of what we hold is what its parent names: once here, not at each look.
void TrustedRepository::relink() {
  resolved_.clear();
  const auto matches = [](const FileEntry& entry, Version version, const Bytes& bytes) {
    return entry.version == version && check_against_parent(entry, bytes, "").has_value();
  };
  snapshot_current_ = timestamp_ && snapshot_ &&
                      matches((*timestamp_)->snapshot, (*snapshot_)->version, snapshot_->bytes());
  targets_current_ = snapshot_current_ && targets_ &&
                     matches(targets_entry(**snapshot_), (*targets_)->version, targets_->bytes());
}

Refresh::Refresh(TrustedRepository& repository, UnixSeconds start_time)
    : repository_(repository), start_time_(start_time) {
  // What was found of delegated roles may have expired since: it must be searched for anew.
  repository_.resolved_.clear();
}

std::optional<Refresh::Request> Refresh::next() const {
  const bool consistent = repository_.root()->consistent_snapshot;
  const auto request = [&](Role role, Version version, std::uint64_t bytes_max) {
    return Request{role, metadata_file_name(role, version, consistent), bytes_max, {}};
  };
  // What the parent says is the length; go_on has seen that it is none too many.
  const auto child = [&](Role role, const FileEntry& entry, std::uint64_t bytes_max) {
    return request(role, entry.version, entry.length.value_or(bytes_max));
  };
  switch (stage_) {
    case Stage::kRoot: return request(Role::kRoot, repository_.root()->version + 1, kRootBytesMax);
    case Stage::kTimestamp: return request(Role::kTimestamp, 0, kTimestampBytesMax);
    case Stage::kSnapshot:
      return child(Role::kSnapshot, (*repository_.timestamp())->snapshot, kSnapshotBytesMax);
    case Stage::kTargets:
      return child(Role::kTargets, targets_entry(**repository_.snapshot()), kTargetsBytesMax);
    case Stage::kComplete:
    case Stage::kFailed: return std::nullopt;
  }
  LAYBY_ASSERT(false);
}

Result<void> Refresh::give(ByteSpan bytes) {
  const auto request = next();
  LAYBY_ASSERT(request);
  auto accepted = bytes.size() <= request->bytes_max
                      ? accept(bytes)
                      : fail(ErrorCode::kEndlessData, "{}: more than {} bytes", request->file,
                             request->bytes_max);
  if (!accepted) stage_ = Stage::kFailed;
  return accepted;
}

Result<void> Refresh::give_absent() {
  const auto request = next();
  LAYBY_ASSERT(request);
  auto result = stage_ == Stage::kRoot
                    ? repository_.check_root_expiry(start_time_)  // 5.3.10
                    : fail(ErrorCode::kNotFound, "{}: the server does not have it", request->file);
  stage_ = result ? Stage::kTimestamp : Stage::kFailed;
  return result;
}

Result<void> Refresh::accept(ByteSpan bytes) {
  switch (stage_) {
    case Stage::kRoot:
      TRY_VOID(repository_.accept_root(bytes));
      // Deletions first: a power cut in between must not leave the old files under the new root.
      for (const Role role : std::exchange(repository_.rotated_away_, {}))
        changes_.push_back({role, std::nullopt, {}});
      changes_.push_back({Role::kRoot, repository_.root().bytes(), {}});
      // 5.3.3: after so many the chain ends here for this time, as if there were no more.
      if (++rotations_ < kRootRotationsMax) return {};
      TRY_VOID(repository_.check_root_expiry(start_time_));
      stage_ = Stage::kTimestamp;
      return {};
    case Stage::kTimestamp: {
      const auto acceptance = TRY(repository_.accept_timestamp(bytes, start_time_));
      if (acceptance == TrustedRepository::Acceptance::kNew)
        changes_.push_back({Role::kTimestamp, repository_.timestamp()->bytes(), {}});
      return go_on();
    }
    case Stage::kSnapshot:
      TRY_VOID(repository_.accept_snapshot(bytes, start_time_));
      changes_.push_back({Role::kSnapshot, repository_.snapshot()->bytes(), {}});
      return go_on();
    case Stage::kTargets:
      TRY_VOID(repository_.accept_targets(bytes, start_time_));
      changes_.push_back({Role::kTargets, repository_.targets()->bytes(), {}});
      return go_on();
    case Stage::kComplete:
    case Stage::kFailed: break;
  }
  LAYBY_ASSERT(false);
}

// Past the timestamp: what we hold already and its parent names is not fetched again, but must not
// be expired.
Result<void> Refresh::go_on() {
  if (!repository_.snapshot_current_) {
    TRY_VOID(check_given_length((*repository_.timestamp())->snapshot, kSnapshotBytesMax,
                                repository_.rules_, "snapshot"));
    stage_ = Stage::kSnapshot;
    return {};
  }
  TRY_VOID(check_expiry("snapshot", (*repository_.snapshot())->expires, start_time_));
  if (!repository_.targets_current_) {
    TRY_VOID(check_given_length(targets_entry(**repository_.snapshot()), kTargetsBytesMax,
                                repository_.rules_, "targets"));
    stage_ = Stage::kTargets;
    return {};
  }
  TRY_VOID(repository_.check_current(start_time_));
  stage_ = Stage::kComplete;
  return {};
}

std::vector<Refresh::Change> Refresh::take_changes() {
  return std::exchange(changes_, {});
}

}  // namespace layby::manifest
