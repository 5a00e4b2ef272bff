// `laybyd init`: makes the data directory of a new server (docs/operations.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "crypto/key_file.h"

namespace layby::server {

// Where things lie in the data directory.
inline constexpr const char* kConfigFile = "laybyd.toml";
inline constexpr const char* kStoreDir = "store";
inline constexpr const char* kPayloadsDir = "payloads";
inline constexpr const char* kKeysDir = "keys";
inline constexpr const char* kKeysPassphraseFile = "keys/passphrase";
inline constexpr const char* kAuditKeyPart = "provision/audit-key.json";  // the public part

struct InitOptions {
  std::string data_dir;     // must not exist; its parent must
  std::string config_text;  // becomes laybyd.toml
  // Names and addresses that the server's certificate is good for, besides localhost and 127.0.0.1.
  std::vector<std::string> server_names;
  // Of the offline keys; nothing: a new one is written to offline/passphrase.
  std::optional<std::string> offline_passphrase;
  crypto::KeyFileCost offline_cost = crypto::KeyFileCost::kSensitive;
  // Keys of each root, and how many of them a next root must be signed by.
  std::size_t root_keys = 1;
  std::uint64_t root_threshold = 1;
};

// Makes, all at once or not at all (a directory beside it is filled and then renamed):
//   laybyd.toml
//   tls/        authority of the server and its certificate; authority of the cars
//   keys/       the online keys and their passphrase
//   offline/    the keys of both roots and of the image targets: to be moved away
//   provision/  what cars and the command line are given: roots, ca.pem, licence-key.json
//   operator.token   of the first operator
//   store/      with both repositories, and that operator's account
// Files have mode 0600, directories 0700. kAlreadyExists if data_dir is there, kInvalidArgument for
// a name that cannot stand in a certificate or a threshold that the keys cannot reach.
Result<void> init_data_dir(Disk& disk, const Clock& clock, const InitOptions& options);

// Writes `path` anew: the public part of the key that signs exports of audit trails.
Result<void> write_audit_key_part(Disk& disk, const std::string& path, const crypto::Signer& key);

// Whether `path`, if it is there, is the public part of `key` (null: there is no key). kConflict
// where it is another's: whoever was given it could prove nothing that `key` signs.
Result<void> check_audit_key_part(Disk& disk, const std::string& path, const crypto::Signer* key);

}  // namespace layby::server
