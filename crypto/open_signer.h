// A private key wherever it lies: a file, or a token.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/disk.h"
#include "crypto/keys.h"

namespace layby::crypto {

// `reference` is the path of a key file, or a PKCS#11 URI; `secret` its passphrase, or the token's
// PIN. Errors are those of read_key_file and Pkcs11Signer::open.
Result<std::unique_ptr<Signer>> open_signer(Disk& disk, const std::string& reference,
                                            std::string_view secret);

}  // namespace layby::crypto
