#include "server/director/licence_issuer.h"

#include "server/director/online_keys.h"

namespace layby::server {

Result<std::string> issue_licence(const Services& services, manifest::Licence licence,
                                  const manifest::PublicKey& named,
                                  const crypto::SealPublicKey& car) {
  licence.issued = services.clock.now();
  const crypto::Signer* signer = licence_signer(services.keys, named);
  if (signer == nullptr) signer = services.keys.licence.get();
  const Bytes sealed = TRY(manifest::make_licence(licence, *signer, car));
  return to_base64(sealed);
}

}  // namespace layby::server
