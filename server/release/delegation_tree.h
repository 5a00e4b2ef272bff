// Who speaks of which image in the Image repository: the top-level targets and, as far as they and
// the roles below them delegate, the delegated roles. Judged as a client judges them: by its
// delegator's keys, path patterns and hardware ids, in order of priority (TUF 1.0.34, 5.6.7; Uptane
// 2.1.0, 5.4.4.7).
//
// A client's own walk is manifest::TargetSearch, one for each name. This one answers for all names
// at once; what it answers is held against that walk before anything is published
// (image_repository.cc).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "manifest/envelope.h"
#include "manifest/image_entry.h"
#include "manifest/metadata.h"

namespace layby::server {

// What no repository of ours publishes: a role whose name is no plain name (manifest/names.h), so
// that it is the same in a URL, in a package and on a disk; one that delegates to itself; a
// delegation that fewer keys can sign than must (kBadFormat); hash bins (kUnsupported).
Result<void> check_delegations(std::string_view role, const manifest::Targets& targets);

class DelegationTree {
 public:
  using Documents = std::map<std::string, Bytes>;  // by role, the latest of each
  using ListedImages = std::map<std::string, manifest::Target>;

  // `top` was verified; `documents` are judged here, at `now`. kBadJson, kBadFormat for a document
  // that cannot be read.
  static Result<DelegationTree> build(manifest::Targets top, const Documents& documents,
                                      UnixSeconds now);

  // A believed role that delegates to another one, whether that one is believed for it or not.
  struct Delegator {
    std::string role;
    const manifest::KeyMap* keys = nullptr;
    const manifest::Delegation* delegation = nullptr;
    std::string flaw;  // why a client believes nothing that comes this way; empty: it believes
    bool is_signed = false;  // as it asks, expired or not
  };
  // In no particular order; the tree owns what they point to.
  std::vector<Delegator> delegators_of(const std::string& role) const;

  // Whether a client that follows some chain of delegations takes the role's document.
  bool is_believed(const std::string& role) const { return believed_.contains(role); }

  // Whether a chain of delegations from the top gives the role a say about this image, each by path
  // and by hardware.
  bool may_speak(const std::string& role, const std::string& image,
                 const manifest::HardwareId& hardware) const;

  // For people: each published role that delegates to this one and that no client believes, and
  // why.
  std::vector<std::string> disowned_delegators_of(const std::string& role) const;

  // What a client finds; nullptr for nothing.
  const manifest::Target* find(const std::string& image,
                               const manifest::HardwareId& hardware) const;

  // Images that a client does not get through to, and why: it looks into so many roles, or so many
  // bytes of them, and no further (manifest/target_search.h).
  std::map<std::string, std::string> out_of_bounds() const;

  // Whether a client finds the image just so, for each of its hardware ids.
  bool finds(const manifest::ImageEntry& image, const manifest::Target& target) const;

  // The images that the repository stands behind: what a client finds. kBadFormat for an entry of a
  // delegated role that is no image.
  Result<ListedImages> listed() const;

  // Every image that some document names, believed or not.
  std::set<std::string> named() const;

  // Images by which this walk is held against a client's own: at most kSamplesMax of `offered`,
  // spread over all of them, and the first of each believed delegated role that is among `listed`.
  // A client reads whole documents for each, and the walk is the same code for all.
  static constexpr std::size_t kSamplesMax = 32;
  ListedImages samples(const ListedImages& offered, const ListedImages& listed) const;

  // For people: each delegation to a role that is not believed for it, and why.
  std::vector<std::string> gaps() const;

 private:
  struct Document {
    std::optional<manifest::Envelope> envelope;  // none of the top-level targets
    manifest::Targets targets;
    std::uint64_t bytes = 0;
  };
  struct Walk {
    const manifest::Target* found = nullptr;
    std::string excess;  // the bound at which it ended; empty: none
  };
  DelegationTree() = default;
  Walk walk(const std::string& image, const manifest::HardwareId& hardware) const;
  void judge(Delegator& delegator, UnixSeconds now) const;
  void follow(UnixSeconds now);

  std::map<std::string, Document> documents_;  // the top-level ones as "targets"
  std::vector<Delegator> delegators_;          // of believed roles
  std::set<const manifest::Delegation*> sound_;
  std::set<std::string> believed_;
};

}  // namespace layby::server
