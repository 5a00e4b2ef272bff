#include "server/director/licence_issuer.h"

#include "server/director/online_keys.h"

namespace layby::server {

Result<std::string> issue_licence(const Services& services, manifest::Licence licence,
                                  const crypto::SealPublicKey& car) {
  licence.issued = services.clock.now();
  const Bytes sealed = TRY(manifest::make_licence(licence, *services.keys.licence, car));
  return to_base64(sealed);
}

}  // namespace layby::server
