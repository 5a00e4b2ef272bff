#include "crypto/open_signer.h"

#include "crypto/key_file.h"
#include "crypto/pkcs11_signer.h"

namespace layby::crypto {

Result<std::unique_ptr<Signer>> open_signer(Disk& disk, const std::string& reference,
                                            std::string_view secret) {
  if (reference.starts_with("pkcs11:")) return TRY(Pkcs11Signer::open(reference, secret));
  return TRY(read_key_file(disk, reference, secret));
}

}  // namespace layby::crypto
