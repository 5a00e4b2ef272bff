// The engine: what a client believes of one repository, and how that may change (TUF 1.0.34,
// section 5). Pure: no clock, no disk, no network.
//
//   TrustedRepository repository = TRY(TrustedRepository::load(stored));
//   Refresh refresh(repository, now);
//   while (const auto request = refresh.next()) {
//     const Fetched fetched = fetch(request->file, request->bytes_max);     // yours
//     const auto given = fetched.absent ? refresh.give_absent() : refresh.give(fetched.bytes);
//     persist(refresh.take_changes());  // yours; after an error too
//     TRY_VOID(given);
//   }
//   const Targets& targets = *repository.targets();
//
// After an error the repository holds what had been accepted until then (persist it all the same);
// a later refresh begins anew. The agent, the programs, the server before it publishes, and the
// fuzzers all use this one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "manifest/metadata.h"
#include "manifest/vin.h"

namespace layby::manifest {

// Metadata whose signatures were checked against a trusted root; only the engine can make it.
template <typename Model>
class Verified {
 public:
  const Model& operator*() const { return *model_; }
  const Model* operator->() const { return model_.get(); }
  std::shared_ptr<const Model> model() const { return model_; }
  const Bytes& bytes() const { return bytes_; }  // as received

 private:
  friend class TrustedRepository;
  Verified(Model model, ByteSpan bytes)
      : model_(std::make_shared<const Model>(std::move(model))),
        bytes_(bytes.begin(), bytes.end()) {}
  std::shared_ptr<const Model> model_;
  Bytes bytes_;
};

// What lies on a client's disk, per role, as received. Only the root must be there.
struct StoredRoles {
  Bytes root;
  std::optional<Bytes> timestamp;
  std::optional<Bytes> snapshot;
  std::optional<Bytes> targets;
  std::map<std::string, Bytes> delegated = {};  // by name of the role; not verified by itself
};

// What a client must make durable: the bytes of a role, or that they are gone.
struct StoredChange {
  Role role;
  std::optional<Bytes> bytes;
  std::string delegated = {};  // the name of a delegated role; `role` is kTargets then
};

// Which standard a client keeps to. Uptane asks more than TUF (Uptane 2.1.0, 5.2.5 and 5.4.4.6): a
// timestamp has its snapshot's hash, and targets are compared with those trusted before. Beyond
// both, one version has one content for ever. In plain TUF the snapshot alone vouches for versions
// of targets (5.5.5): rotating its keys is enough to recover from a fast-forward attack on them.
enum class Rules { kUptane, kTuf };

// What a client must fetch.
struct MetadataRequest {
  Role role;
  std::string file;         // name in the repository's metadata directory, fit for a URL as it is
  std::uint64_t bytes_max;  // read no more than this; more is kEndlessData
  std::string delegated = {};  // the name of a delegated role; `role` is kTargets then
};

class TrustedRepository {
 public:
  // The root must be well-formed and signed by its own keys; it was provisioned or accepted
  // earlier, so its expiry does not matter here (5.2). Of the other roles, what the root's keys did
  // not sign is left out: it is fetched again.
  static Result<TrustedRepository> load(const StoredRoles& stored, Rules rules = Rules::kUptane);

  // From now on a timestamp, snapshot or targets that name another vehicle, or none, are refused as
  // kWrongVehicle. A Director's name it (docs/formats.md): else another car's, well signed and with
  // higher versions, would hold this car's own off for as long as theirs are lower.
  void expect_vehicle(Vin vehicle) { vehicle_ = std::move(vehicle); }

  const Verified<Root>& root() const { return root_; }
  const Verified<Timestamp>* timestamp() const { return timestamp_ ? &*timestamp_ : nullptr; }
  const Verified<Snapshot>* snapshot() const { return snapshot_ ? &*snapshot_ : nullptr; }

  // The targets, if timestamp, snapshot and targets are all there and each is exactly the one that
  // its parent names; nullptr otherwise. Says nothing about expiry.
  const Verified<Targets>* targets() const;

  // Of the targets, or of a delegated role if a TargetSearch for just this name and hardware found
  // it there since the last change; nullptr otherwise.
  const Target* find_target(const std::string& name,
                            const std::optional<HardwareId>& hardware = std::nullopt) const;

  // kFreeze if one of the four is expired at `now`, kUnavailable if `targets()` is nullptr.
  Result<void> check_current(UnixSeconds now) const;

  StoredRoles stored() const;
  // Of these just one delegated role, which is not verified by itself; nullptr if it is not held.
  const Bytes* delegated(const std::string& role) const;

  // The steps. Each leaves everything as it was when it fails. Refresh calls them in order; on
  // their own they serve tests and the server's check of an upload.

  // 5.3.4 to 5.3.6: signed by the old and by its own keys, exactly the next version. Drops
  // timestamp and snapshot when a key of theirs was rotated (5.3.11), and what the new keys do not
  // stand behind.
  Result<void> accept_root(ByteSpan bytes);
  // 5.3.10: the last root of the chain must not be expired.
  Result<void> check_root_expiry(UnixSeconds now) const;
  // 5.4. The same version as the trusted one is not an error: the trusted one stays (kKept).
  enum class Acceptance { kNew, kKept };
  Result<Acceptance> accept_timestamp(ByteSpan bytes, UnixSeconds now);
  // 5.5. `accept_timestamp` came first.
  Result<void> accept_snapshot(ByteSpan bytes, UnixSeconds now);
  // 5.6. `accept_snapshot` came first.
  Result<void> accept_targets(ByteSpan bytes, UnixSeconds now);

  // For an ECU that verifies partially (Uptane 2.1.0, 5.4.4.1): targets without timestamp and
  // snapshot. Signed by the root's targets role, not older than those trusted before, the same
  // version only with the same content, not expired.
  Result<void> accept_targets_alone(ByteSpan bytes, UnixSeconds now);
  // What it accepted, here or before; nullptr for none. Says nothing about expiry.
  const Verified<Targets>* targets_alone() const { return targets_ ? &*targets_ : nullptr; }

  // For a server that is given the next targets: signed by the root's targets role, version above
  // the trusted one, not expired. The snapshot that will name them is not made yet.
  Result<Targets> check_next_targets(ByteSpan bytes, UnixSeconds now) const;

 private:
  friend class Refresh;
  friend class TargetSearch;
  TrustedRepository(Verified<Root> root, Rules rules) : root_(std::move(root)), rules_(rules) {}
  template <typename Model>
  Result<Verified<Model>> verify(ByteSpan bytes) const;
  template <typename Model>
  Result<void> check_successor(const std::optional<Verified<Model>>& trusted, Version version,
                               ByteSpan bytes, std::string_view name) const;
  template <typename Model>
  Result<void> check_vehicle(const Model& model, std::string_view name) const;
  void drop_what_root_disowns(const Root& before);
  void relink();

  Verified<Root> root_;
  Rules rules_;
  std::optional<Vin> vehicle_;
  std::optional<Verified<Timestamp>> timestamp_;
  std::optional<Verified<Snapshot>> snapshot_;  // may be older than the timestamp says
  std::optional<Verified<Targets>> targets_;    // may be older than the snapshot says
  bool snapshot_current_ = false;               // it is what the timestamp names
  bool targets_current_ = false;                // and they are what it names
  std::map<std::string, Bytes> delegated_;      // verified anew by each search that meets them
  // What searches found since the last change, by name and by the hardware it was searched for.
  std::map<std::pair<std::string, std::optional<HardwareId>>, Target> resolved_;
  std::vector<Role> rotated_away_;  // dropped with their keys: must go from the disk too
};

// One refresh, file by file. Knows which file is next, under which name and with which cap; the
// caller fetches. `repository` must outlive it. The start time is fixed once (5.1).
class Refresh {
 public:
  Refresh(TrustedRepository& repository, UnixSeconds start_time);

  using Request = MetadataRequest;
  // Nothing when the refresh is complete or has failed.
  std::optional<Request> next() const;

  // The bytes of the file that next() named. On an error the refresh is over.
  Result<void> give(ByteSpan bytes);
  // The server says that there is no such file (404 or 403): the end of the root chain (5.3.3);
  // kNotFound for any other file. Other failures are not absence: drop the refresh then.
  Result<void> give_absent();

  // What must be made durable now, in this order; absent bytes mean: delete. Empties the list.
  using Change = StoredChange;
  std::vector<Change> take_changes();

  bool complete() const { return stage_ == Stage::kComplete; }

 private:
  enum class Stage { kRoot, kTimestamp, kSnapshot, kTargets, kComplete, kFailed };
  Result<void> accept(ByteSpan bytes);
  Result<void> go_on();

  TrustedRepository& repository_;
  UnixSeconds start_time_;
  Stage stage_ = Stage::kRoot;
  int rotations_ = 0;
  std::vector<Change> changes_;
};

}  // namespace layby::manifest
