// Where a target is described: the walk down the delegations (TUF 1.0.34, section 5.6.7; Uptane
// 2.1.0, 5.4.4.7). Drive it like a Refresh, after one:
//
//   VerifiedRoles roles;  // where several targets are searched for
//   TargetSearch search(repository, name, now, hardware, &roles);
//   while (const auto request = search.next()) { fetch, give or give_absent, persist }
//   const Target* target = TRY(search.found());
//
// The bounds stand here for both sides: cars look no further, and the server publishes nothing that
// lies behind them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/limits.h"
#include "manifest/repository.h"

namespace layby::manifest {

// Delegated roles that one search looks into.
constexpr std::size_t kSearchRolesMax = 32;

// Delegated roles that one look at the Image repository may need, of all images of a car together:
// what they cost is memory and room on its disk, by the word of whoever delegates.
constexpr std::size_t kDelegatedRolesMax = 64;
constexpr std::uint64_t kDelegatedBytesMax = 16 * kMiB;
// Images that one look searches for: those that the top-level targets do not name.
constexpr std::size_t kSearchesMax = 256;

// Whether one look may need these roles, by the lengths that the snapshot gives; kTooLarge. Each
// role must be in the snapshot.
Result<void> check_delegated_bounds(const std::set<std::string>& roles, const Snapshot& snapshot);

// Delegated roles as the searches of one look have verified them: read, and their signatures
// checked, once for each of their delegators instead of once for each target. Says nothing about
// expiry. Holds what was read of as many documents as one look may need; beyond that it begins
// anew. Keep it for as long as the look: it takes several times the documents' room.
class VerifiedRoles {
 public:
  // How many documents had to be read until now.
  std::size_t readings() const { return readings_; }

 private:
  friend class TargetSearch;
  // Who may sign a role by the word of one delegator. Part of that one's document.
  struct Delegator {
    std::shared_ptr<const KeyMap> keys;
    std::shared_ptr<const RoleKeys> role;
    bool has_same_keys(const Delegator& other) const;
  };
  // nullptr unless this delegator's keys signed what the snapshot names now.
  std::shared_ptr<const Targets> find(const std::string& name, const FileEntry& entry,
                                      const Delegator& by) const;
  void add(const std::string& name, const FileEntry& entry, const Delegator& by,
           std::size_t document_bytes, std::shared_ptr<const Targets> targets);

  struct Role {
    FileEntry entry;
    std::size_t document_bytes;
    std::shared_ptr<const Targets> targets;
    std::vector<Delegator> delegators;
  };
  std::map<std::string, Role> roles_;
  std::size_t document_bytes_ = 0;
  std::size_t readings_ = 0;
};

class TargetSearch {
 public:
  // `repository` must have its targets (`targets()` is our bug otherwise) and outlive the search.
  // `hardware` is that of the ECU that the target is meant for: who was delegated other hardware
  // only is passed over, as one of other paths is. Without it, as in plain TUF, the hardware ids of
  // delegations are not looked at. `roles` is shared by the searches of one look and must outlive
  // them; without it this one verifies all that it meets. The outcome is the same.
  TargetSearch(TrustedRepository& repository, std::string target_name, UnixSeconds start_time,
               std::optional<HardwareId> hardware = std::nullopt, VerifiedRoles* roles = nullptr);

  // The delegated role to fetch next; nothing when the search is over, or has failed.
  std::optional<MetadataRequest> next() const;

  // On an error the search is over and nothing is found: a delegated role that cannot be had must
  // not let another one's word count instead.
  Result<void> give(ByteSpan bytes);
  Result<void> give_absent();

  // What the caller has stored of the role that next() names, from an earlier run. Settled: it is
  // still what the snapshot names and this delegator's keys signed, or it is just the bytes that
  // the snapshot names and yet not good, so that fetching them again is no use. Otherwise nothing
  // happened, and next() has to be fetched.
  enum class Stored { kSettled, kFetch };
  Stored offer_stored(ByteSpan bytes);

  std::vector<StoredChange> take_changes();

  // The delegated roles that were looked into until now, next()'s among them; each is in the
  // snapshot, but perhaps the last one of a search that has failed.
  const std::set<std::string>& visited() const { return visited_; }

  // Once `next` gives nothing: the target, nullptr if no role that may speak of it does, or why the
  // search failed: kTooLarge where more roles may speak than one search asks (5.6.7.1). The
  // repository's find_target knows the target, for this hardware, from then on, until its next
  // change.
  Result<const Target*> found() const;

 private:
  struct Step {
    std::string name;
    VerifiedRoles::Delegator by;
  };
  Result<std::shared_ptr<const Targets>> verify(const Step& step, ByteSpan bytes);
  void visit(const std::shared_ptr<const Targets>& targets);
  bool may_speak(const Delegation& role) const;
  void go_on();
  bool take_verified();
  enum class Held { kTaken, kRefused, kFetch };
  Held try_held(ByteSpan bytes);
  void end(Error why);
  const FileEntry* entry_of(const Step& step) const;

  TrustedRepository& repository_;
  std::string target_name_;
  std::optional<HardwareId> hardware_;
  UnixSeconds start_time_;
  VerifiedRoles* roles_;
  std::vector<Step> to_visit_;  // the next one last
  std::set<std::string> visited_;
  std::vector<StoredChange> changes_;
  std::optional<Error> failure_;
};

// The entry of an image for an ECU with this hardware: of the top-level targets, or what a search
// for just this name and hardware found since the last change. kRepositoriesDisagree where there is
// none; the message says whether its path or its hardware is delegated to nobody.
Result<const Target*> find_image(const TrustedRepository& repository, const std::string& name,
                                 const HardwareId& hardware);

}  // namespace layby::manifest
