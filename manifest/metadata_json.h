// The JSON dialect of the metadata (TUF 1.0.34, section 4): decode what was read, make what is
// sent.
#pragma once

#include <span>

#include "base/bytes.h"
#include "crypto/keys.h"
#include "manifest/json.h"
#include "manifest/metadata.h"

namespace layby::manifest {

// Of the `signed` part. kBadFormat, naming the field; kUnsupported for another major version of
// the specification. Unknown fields are tolerated: they are covered by the signature.
Result<Root> decode_root(const Json& signed_part);
Result<Timestamp> decode_timestamp(const Json& signed_part);
Result<Snapshot> decode_snapshot(const Json& signed_part);
Result<Targets> decode_targets(const Json& signed_part);

// The `signed` part. What does not decode again is our bug (assertion).
Json encode(const Root& root);
Json encode(const Timestamp& timestamp);
Json encode(const Snapshot& snapshot);
Json encode(const Targets& targets);

// Signed documents, ready to be served. Errors are those of the signers.
using Signers = std::span<const crypto::Signer* const>;
Result<Bytes> make_root(const Root& root, Signers by);
Result<Bytes> make_timestamp(const Timestamp& timestamp, Signers by);
Result<Bytes> make_snapshot(const Snapshot& snapshot, Signers by);
Result<Bytes> make_targets(const Targets& targets, Signers by);

// Snapshot and timestamp around signed targets: what an online signer publishes after each change.
struct OnlineRoles {
  Bytes snapshot;
  Bytes timestamp;
};
struct OnlineVersions {
  Version snapshot;
  Version timestamp;
  UnixSeconds snapshot_expires;
  UnixSeconds timestamp_expires;
};
Result<OnlineRoles> make_online_roles(Version targets_version, ByteSpan targets,
                                      const OnlineVersions& versions, Signers snapshot_by,
                                      Signers timestamp_by);
// The same around any number of roles; `files` as in a Snapshot.
Result<OnlineRoles> make_online_roles(std::map<std::string, FileEntry> files,
                                      const OnlineVersions& versions, Signers snapshot_by,
                                      Signers timestamp_by);

// The name of a metadata file in a repository: "7.root.json", "timestamp.json" (TUF 1.0.34,
// section 3). `version` is left out where the repository has no consistent snapshots, except for
// the root.
std::string metadata_file_name(Role role, Version version, bool consistent_snapshot);

// Where a target lies in a repository with consistent snapshots: "dir/HASH.file" (section 3.1).
std::string target_file_path(std::string_view target_name, std::string_view hash_hex);

}  // namespace layby::manifest
