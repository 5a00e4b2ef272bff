#include "server/director/licence_issuer.h"

#include "server/director/online_keys.h"

namespace layby::server {

Result<std::string> issue_licence(const Services& services, manifest::Licence licence,
                                  const manifest::PublicKey& named,
                                  const crypto::SealPublicKey& car) {
  licence.issued = services.clock.now();
  const crypto::Signer* signer = licence_signer(services.keys, named);
  if (signer == nullptr) {
    services.log(
        LogLevel::kError, "no licence: the key that the function's package names is gone",
        {{"vin", licence.vin.text()}, {"function", licence.function.text()}, {"key", named.id()}});
    return fail(
        ErrorCode::kNotFound,
        "the licence key {}, which the package of {} in the car names, is not here: put its "
        "file back into the directory of the keys and restart the server",
        named.id(), licence.function.text());
  }
  const Bytes sealed = TRY(manifest::make_licence(licence, *signer, car));
  return to_base64(sealed);
}

}  // namespace layby::server
