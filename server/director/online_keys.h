// The keys that the server itself signs with. Whoever holds them can show cars other *valid* images
// of the Image repository, but cannot make new ones: root and targets of that one are offline.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "crypto/key_file.h"
#include "manifest/keys.h"
#include "server/director/root_cache.h"

namespace layby::server {

// Seven signers; none is null, but `audit` where a directory of before there was one was loaded.
struct OnlineKeys {
  std::unique_ptr<crypto::Signer> director_targets;
  std::unique_ptr<crypto::Signer> director_snapshot;
  std::unique_ptr<crypto::Signer> director_timestamp;  // signs the server's time as well
  std::unique_ptr<crypto::Signer> image_snapshot;
  std::unique_ptr<crypto::Signer> image_timestamp;
  std::unique_ptr<crypto::Signer> licence;
  std::unique_ptr<crypto::Signer> audit;  // exports of audit trails; no car knows it

  // By name ("director-timestamp"): keys that a next root is to name. Which of the two signs, the
  // published root says (release/role_signers.h). Of "licence" it is the next releases of functions
  // that name it; which of the two signs, each function's package says (licence_signer).
  std::map<std::string, std::unique_ptr<crypto::Signer>> next{};
  // Licence keys that were replaced: they sign for cars whose functions do not know the next one
  // yet, above all what switches those off.
  std::vector<std::unique_ptr<crypto::Signer>> former_licence{};
  std::shared_ptr<RootCache> roots = std::make_shared<RootCache>();
};

// Seven new keys in memory.
OnlineKeys generate_online_keys();

// Makes seven new keys and writes them as `keys_dir`/{director-targets,director-snapshot,
// director-timestamp,image-snapshot,image-timestamp,licence,audit}.key. The directory must exist.
Result<OnlineKeys> create_online_keys(Disk& disk, const std::string& keys_dir,
                                      std::string_view passphrase);

// Reads them again, and what there is of `NAME.next.key`; of keys in a token there is `NAME.uri`,
// the PKCS#11 URI, in the place of the file: kUnauthenticated for a wrong passphrase,
// kNotFound for a missing file, unless it is audit.key.
Result<OnlineKeys> load_online_keys(Disk& disk, const std::string& keys_dir,
                                    std::string_view passphrase);

// Makes the audit key that is not there yet, and its file.
Result<void> add_audit_key(Disk& disk, const std::string& keys_dir, std::string_view passphrase,
                           OnlineKeys& keys);

// A key that waits for the root, or the releases, that name it: writes `keys_dir`/NAME.next.key and
// gives the key. kInvalidArgument for a name that is neither a role's key nor "licence",
// kAlreadyExists if one waits already.
Result<std::unique_ptr<crypto::Signer>> create_next_key(Disk& disk, const std::string& keys_dir,
                                                        std::string_view passphrase,
                                                        const std::string& name);

// What waited takes the place of the present key, in memory and on the disk. The licence key that
// it replaces stays as `licence.former-ID.key` (`.uri`).
Result<void> promote_next_key(Disk& disk, const std::string& keys_dir, const std::string& name,
                              OnlineKeys& keys);

// "director-targets" and so on: where a role's present key stands; nullptr for another name.
std::unique_ptr<crypto::Signer> OnlineKeys::*role_key(std::string_view name);

// The one of the server's licence keys that a function's package names: the next one, the present
// one, or a former one; nullptr for a stranger's. Valid as long as `keys`.
const crypto::Signer* licence_signer(const OnlineKeys& keys, const manifest::PublicKey& named);

// Whether releases may name it: the next key, or the present one.
bool is_for_releases(const OnlineKeys& keys, const manifest::PublicKey& licence_key);

// The licence key that waits for releases of functions to name it, if one does.
std::optional<manifest::PublicKey> next_licence_key(const OnlineKeys& keys);

// The passphrase in a file: its first line. kBadFormat if that is empty or longer than 1 KiB.
Result<std::string> read_passphrase(Disk& disk, const std::string& path);

}  // namespace layby::server
