// What the four TUF roles say (TUF 1.0.34, section 4), apart from how it is written: the encoding
// is in metadata_json.h. Plain values: nothing here has been verified unless it stands in a
// Verified<T> (repository.h).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "crypto/digest.h"
#include "manifest/keys.h"
#include "manifest/names.h"

namespace layby::manifest {

enum class Role { kRoot, kTimestamp, kSnapshot, kTargets };
inline constexpr std::array kRoles = {Role::kRoot, Role::kTimestamp, Role::kSnapshot,
                                      Role::kTargets};
std::string_view to_string(Role role);  // "root", "timestamp", "snapshot", "targets"

using Version = std::uint64_t;  // 1 and above

struct Hashes {
  std::optional<crypto::Digest256> sha256;
  std::optional<crypto::Digest512> sha512;
  bool operator==(const Hashes&) const = default;
  bool empty() const { return !sha256 && !sha512; }
};

struct Root {
  Version version = 1;
  UnixSeconds expires = 0;
  bool consistent_snapshot = true;
  KeyMap keys;
  std::map<Role, RoleKeys> roles;  // all four

  // Adds the key to the role's; for whoever makes a root.
  void add_key(Role role, const PublicKey& key);
};

// An entry of `meta`.
struct FileEntry {
  Version version = 1;
  std::optional<std::uint64_t> length;
  Hashes hashes;  // may be empty: TUF leaves them optional
  // kNone: there are hashes, all of unknown algorithms. No file can be shown to be this one, and
  // that must not pass for an entry without hashes; others of the snapshot are not touched by it.
  enum class Proof { kPossible, kNone } proof = Proof::kPossible;
  bool operator==(const FileEntry&) const = default;
};
// The entry that describes these bytes, with length and both hashes.
FileEntry describe_file(Version version, ByteSpan bytes);

struct Timestamp {
  Version version = 1;
  UnixSeconds expires = 0;
  FileEntry snapshot;
  std::string custom{};  // an object as to_wire writes it; empty where there is none
};

struct Snapshot {
  Version version = 1;
  UnixSeconds expires = 0;
  std::map<std::string, FileEntry> files;  // "targets.json" is always there
  std::string custom{};                    // as above
};

struct Target {
  std::uint64_t length = 0;
  Hashes hashes;       // empty where all are of unknown algorithms: not to be downloaded then
  std::string custom;  // an object as to_wire writes it; empty where there is none
  bool operator==(const Target&) const = default;
};

// TUF 1.0.34, section 4.5: one delegated role. Exactly one of the two lists is used.
struct Delegation {
  std::string name;
  RoleKeys keys;
  bool terminating = false;
  std::vector<std::string> paths;               // shell patterns; `*` and `?` do not match `/`
  std::vector<std::string> path_hash_prefixes;  // of the SHA-256 of the target's name
  // Uptane 2.1.0, 5.2.3.2: images for other hardware are not this role's to speak of. Empty: any.
  std::vector<HardwareId> hardware_ids{};

  bool covers(std::string_view target_name) const;
  bool covers(const HardwareId& hardware) const;
};

// TAP 15: 2^bit_length roles, all with the same keys, that share the targets among them by the
// first bits of the SHA-256 of the target's name. Each has the last word on what is its own.
struct SuccinctRoles {
  RoleKeys keys;
  unsigned bit_length = 1;  // 1 to 32
  std::string name_prefix;

  std::string role_for(std::string_view target_name) const;
};

struct Delegations {
  KeyMap keys;
  std::vector<Delegation> roles;                  // in order of priority
  std::optional<SuccinctRoles> succinct_roles{};  // in place of `roles`
};

struct Targets {
  Version version = 1;
  UnixSeconds expires = 0;
  std::map<std::string, Target> targets;
  std::optional<Delegations> delegations;
  std::string custom;  // an object as to_wire writes it; empty where there is none
};

}  // namespace layby::manifest
