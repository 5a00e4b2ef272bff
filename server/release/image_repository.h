// The Image repository: what the operator and the suppliers to whom he delegates signed offline,
// and the snapshot and timestamp that the server signs around it.
//
// Published is one consistent set at any time: timestamp, snapshot and targets change in one
// commit, together with the images' records and the payload jobs. Older numbered documents stay.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "delta/profile.h"
#include "manifest/repository.h"
#include "server/release/cached_document.h"
#include "server/release/image.h"
#include "server/release/metadata_file.h"
#include "server/services.h"
#include "server/store/change.h"

namespace layby::server {

// How long what the server signs is valid. Timestamps are signed anew when half of that is over,
// snapshots with them: a car that polls once a week always finds metadata that has not expired.
constexpr UnixSeconds kTimestampLifeSeconds = 7 * kDaySeconds;
constexpr UnixSeconds kSnapshotLifeSeconds = 28 * kDaySeconds;

// The first documents: two roots and the first targets, signed offline, all version 1.
struct FirstDocuments {
  Bytes image_root;
  Bytes image_targets;  // names no image
  Bytes director_root;
};

// Puts the first documents into an empty store and signs the first snapshot and timestamp, after
// the whole set has passed the engine. kAlreadyExists if there is a repository.
Result<void> seed_repositories(Store& store, const OnlineKeys& keys, const FirstDocuments& first,
                               UnixSeconds now);

struct Publication {
  manifest::Version version = 1;          // of the document
  std::vector<std::string> new_images{};  // in the order of their names
  std::vector<std::string> withdrawn{};  // no longer named, or no longer by a role that is believed
  std::vector<std::string> listed_again{};
  std::size_t jobs = 0;  // queued for them
  // Delegations by which cars take nothing now, and why; images that cars do not find now.
  std::vector<std::string> warnings{};
};

// Publishes the next targets.json, whole. What is checked before anything is written:
//   signed by the targets role of the trusted root, next version, not expired (kBadSignature,
//   kRollback, kFreeze); delegations that can be published (see check_delegations); each image a
//   well-formed entry (kBadFormat) whose bytes lie in the payload store with exactly this length
//   and these hashes (kNotFound, kWrongImage); an image that was published before unchanged
//   (kConflict); a new one with a release counter above all earlier ones of its slot and hardware
//   (kImageRollback); and the set with its new snapshot and timestamp as the engine sees it, for a
//   client that has the present set and for one that has only the root, who look for some of the
//   images too.
// The repository stands behind the images that a client finds from here, also by the delegated
// roles that are published: whose role is no longer delegated to, or with keys, paths or hardware
// that its document does not satisfy, is withdrawn in the same commit. The very bytes that are
// current are not an error: nothing changes. Reads each new image once. Any thread; two at once:
// one of them gets kRollback. Deltas to new images are made with `profile`.
Result<Publication> publish_targets(const Services& services, ByteSpan targets,
                                    delta::Profile profile = delta::Profile::kSmall);

// The same for the next targets of a delegated role, the first of which are version 1. Beyond the
// checks above: published targets delegate to the role, the top-level ones or those of a believed
// role (kNotFound); signed by the threshold of the top-level targets where they delegate to it,
// else of one of the roles that do (kBadSignature): cars that come by another one take nothing of
// it, which is a warning; each new image within the paths and hardwareIds of a chain of delegations
// from the top, where a client that looks for it for any of its hardware ids finds just this
// (kForbidden). An image that was published before may be out of reach now, as after a narrower
// delegation: it is withdrawn, and a warning names it.
Result<Publication> publish_delegated(const Services& services, const std::string& role,
                                      ByteSpan targets,
                                      delta::Profile profile = delta::Profile::kSmall);

// Publishes the next root: signed by the thresholds of the present one's keys and its own, exactly
// the next version, not expired (errors of the engine), with numbered files (kBadFormat otherwise);
// of the keys that it names for snapshot and timestamp the server has as many as the thresholds
// say, and both are signed anew with them (kConflict otherwise); the present
// targets are signed by a key that it names, so that no client loses them (kBadSignature). The very
// bytes that are current change nothing. The version that is published then. Any thread.
Result<manifest::Version> publish_image_root(const Services& services, ByteSpan root);

Result<manifest::Root> present_image_root(Change& change);

// The present timestamp; signed anew if it is time (and the snapshot with it, if it is time for
// that one). When a delegated role has expired, its images are withdrawn with that.
Result<std::string> image_timestamp(const Services& services);

// A numbered document; nothing if there is none.
Result<std::optional<std::string>> image_document(const Store& store, manifest::Role role,
                                                  manifest::Version version);
Result<std::optional<std::string>> delegated_document(const Store& store,
                                                      const DelegatedFile& file);

}  // namespace layby::server
