// The keys that the server itself signs with. Whoever holds them can show cars other *valid* images
// of the Image repository, but cannot make new ones: root and targets of that one are offline.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/disk.h"
#include "crypto/key_file.h"

namespace layby::server {

// Six signers; none is null once `load_online_keys` or `generate_online_keys` has returned it.
struct OnlineKeys {
  std::unique_ptr<crypto::Signer> director_targets;
  std::unique_ptr<crypto::Signer> director_snapshot;
  std::unique_ptr<crypto::Signer> director_timestamp;  // signs the server's time as well
  std::unique_ptr<crypto::Signer> image_snapshot;
  std::unique_ptr<crypto::Signer> image_timestamp;
  std::unique_ptr<crypto::Signer> licence;
};

// Six new keys in memory.
OnlineKeys generate_online_keys();

// Makes six new keys and writes them as `keys_dir`/{director-targets,director-snapshot,
// director-timestamp,image-snapshot,image-timestamp,licence}.key. The directory must exist.
Result<OnlineKeys> create_online_keys(Disk& disk, const std::string& keys_dir,
                                      std::string_view passphrase);

// Reads them again: kUnauthenticated for a wrong passphrase, kNotFound for a missing file.
Result<OnlineKeys> load_online_keys(Disk& disk, const std::string& keys_dir,
                                    std::string_view passphrase);

// The passphrase in a file: its first line. kBadFormat if that is empty or longer than 1 KiB.
Result<std::string> read_passphrase(Disk& disk, const std::string& path);

}  // namespace layby::server
