// Private keys at rest: a file encrypted under a passphrase (Argon2id, XSalsa20-Poly1305), one key
// each. The format is in docs/formats.md ("Key file"). Keys of online roles and of cars use an
// empty passphrase only where the operator chose so; damage to the file is then still noticed, but
// whoever can read it has the key, and whoever can write it can replace it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/disk.h"
#include "crypto/keys.h"

namespace layby::crypto {

enum class KeyFileCost {
  kInteractive,  // 64 MiB, a fraction of a second: keys that a service opens at start
  kSensitive,    // 1 GiB, seconds: offline keys of root and targets
};

Result<void> write_key_file(Disk& disk, const std::string& path, const MemorySigner& key,
                            std::string_view passphrase, KeyFileCost cost);

// kUnauthenticated when the passphrase is wrong or the file was altered.
Result<std::unique_ptr<MemorySigner>> read_key_file(Disk& disk, const std::string& path,
                                                    std::string_view passphrase);

}  // namespace layby::crypto
