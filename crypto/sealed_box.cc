#include "crypto/sealed_box.h"

#include <sodium.h>

namespace layby::crypto {

SealKeyPair generate_seal_keys() {
  SealKeyPair pair;
  crypto_box_keypair(pair.public_key.data(), pair.secret_key.data());
  return pair;
}

SealPublicKey seal_public_key(const SealSecretKey& secret) {
  SealPublicKey key;
  crypto_scalarmult_base(key.data(), secret.data());
  return key;
}

Result<Bytes> seal(ByteSpan plain, const SealPublicKey& to) {
  Bytes sealed(plain.size() + crypto_box_SEALBYTES);
  if (crypto_box_seal(sealed.data(), plain.data(), plain.size(), to.data()) != 0)
    return fail(ErrorCode::kInvalidArgument, "nothing can be sealed to the key {}", to_hex(to));
  return sealed;
}

Result<Bytes> open_sealed(ByteSpan sealed, const SealSecretKey& secret) {
  if (sealed.size() < crypto_box_SEALBYTES)
    return fail(ErrorCode::kCorrupt, "a sealed box of {} bytes is too short", sealed.size());
  const SealPublicKey key = seal_public_key(secret);
  Bytes plain(sealed.size() - crypto_box_SEALBYTES);
  if (crypto_box_seal_open(plain.data(), sealed.data(), sealed.size(), key.data(), secret.data()) !=
      0)
    return fail(ErrorCode::kCorrupt, "the box was sealed to another key or altered");
  return plain;
}

}  // namespace layby::crypto
