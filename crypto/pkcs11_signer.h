// Keys in a hardware token or a security module, behind PKCS#11 2.40: signed with, never seen. The
// second implementation of the Signer seam.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "crypto/keys.h"

namespace layby::crypto {

class Pkcs11Signer final : public Signer {
 public:
  // `uri` is that of RFC 7512 and names one private key and its public key, which lie in one token:
  //   pkcs11:token=layby;object=image-targets?module-path=/usr/lib/softhsm/libsofthsm2.so
  // `module-path` must be there. Ed25519 keys, or P-256 where the token has no Ed25519. The session
  // is logged in with `pin` until the signer is gone. Signs once, to see that the two keys belong
  // together.
  // kInvalidArgument for what is no such URI, kIo for a module that cannot be loaded, kNotFound
  // unless exactly one token and one key are meant, kUnauthenticated for a wrong PIN, kUnsupported
  // for another kind of key, kInternal for what a token refuses otherwise.
  static Result<std::unique_ptr<Pkcs11Signer>> open(const std::string& uri, std::string_view pin);
  ~Pkcs11Signer() override;

  PublicPart public_part() const override;
  // Any thread; one at a time reaches the token.
  Result<Bytes> sign(ByteSpan message) const override;

 private:
  struct State;
  explicit Pkcs11Signer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace layby::crypto
