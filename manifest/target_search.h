// Where a target is described: the walk down the delegations (TUF 1.0.34, section 5.6.7). Drive it
// like a Refresh, after one:
//
//   TargetSearch search(repository, name, now);
//   while (const auto request = search.next()) { fetch, give or give_absent, persist }
//   const Target* target = search.found();
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "manifest/repository.h"

namespace layby::manifest {

class TargetSearch {
 public:
  // `repository` must have its targets (`targets()` is our bug otherwise) and outlive the search.
  TargetSearch(TrustedRepository& repository, std::string target_name, UnixSeconds start_time);

  // The delegated role to fetch next; nothing when the search is over, or has failed.
  std::optional<MetadataRequest> next() const;

  // On an error the search is over and nothing is found: a delegated role that cannot be had must
  // not let another one's word count instead.
  Result<void> give(ByteSpan bytes);
  Result<void> give_absent();

  // What the caller has stored of the role that next() names, from an earlier run. Taken if it is
  // still what the snapshot names and this delegator's keys signed; otherwise nothing happened, and
  // next() has to be fetched.
  enum class Stored { kTaken, kNotGood };
  Stored offer_stored(ByteSpan bytes);

  std::vector<StoredChange> take_changes();

  // The target, once `next` gives nothing; nullptr if no role that may speak of it does. The
  // repository's find_target knows it from then on, until its next change.
  const Target* found() const;

 private:
  struct Step {
    std::string name;
    KeyMap keys;
    RoleKeys role;
  };
  Result<Targets> verify(const Step& step, ByteSpan bytes) const;
  void visit(const Targets& targets);
  void go_on();
  const FileEntry* entry_of(const Step& step) const;

  TrustedRepository& repository_;
  std::string target_name_;
  UnixSeconds start_time_;
  std::vector<Step> to_visit_;  // the next one last
  std::set<std::string> visited_;
  std::vector<StoredChange> changes_;
};

}  // namespace layby::manifest
