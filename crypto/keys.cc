#include "crypto/keys.h"

#include <sodium.h>

#include "base/assert.h"
#include "crypto/random.h"

namespace layby::crypto {

bool verify_ed25519(const Ed25519PublicKey& key, ByteSpan message, ByteSpan signature) {
  return signature.size() == crypto_sign_BYTES &&
         crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.data()) == 0;
}

std::unique_ptr<MemorySigner> MemorySigner::generate() {
  Ed25519Seed seed;
  fill_random(seed);
  auto signer = from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return signer;
}

std::unique_ptr<MemorySigner> MemorySigner::from_seed(const Ed25519Seed& seed) {
  std::unique_ptr<MemorySigner> signer(new MemorySigner);
  sodium_mlock(signer->secret_.data(), signer->secret_.size());  // best effort: RLIMIT_MEMLOCK
  Ed25519PublicKey ignored;
  crypto_sign_seed_keypair(ignored.data(), signer->secret_.data(), seed.data());
  return signer;
}

MemorySigner::~MemorySigner() {
  sodium_munlock(secret_.data(), secret_.size());
}

Ed25519PublicKey MemorySigner::public_key() const {
  Ed25519PublicKey key;
  crypto_sign_ed25519_sk_to_pk(key.data(), secret_.data());
  return key;
}

PublicPart MemorySigner::public_part() const {
  return {PublicPart::Scheme::kEd25519, to_hex(public_key())};
}

Result<Bytes> MemorySigner::sign(ByteSpan message) const {
  Bytes signature(crypto_sign_BYTES);
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret_.data());
  return signature;
}

Ed25519Seed MemorySigner::seed() const {
  Ed25519Seed seed;
  crypto_sign_ed25519_sk_to_seed(seed.data(), secret_.data());
  return seed;
}

}  // namespace layby::crypto
