// Sealed boxes: bytes that only the holder of one X25519 key can open (libsodium's crypto_box_seal:
// ephemeral X25519, XSalsa20-Poly1305). The sender is not authenticated: sign what you seal.
#pragma once

#include <array>

#include "base/bytes.h"
#include "base/result.h"

namespace layby::crypto {

using SealPublicKey = std::array<std::uint8_t, 32>;
using SealSecretKey = std::array<std::uint8_t, 32>;

struct SealKeyPair {
  SealPublicKey public_key;
  SealSecretKey secret_key;
};

SealKeyPair generate_seal_keys();
SealPublicKey seal_public_key(const SealSecretKey& secret);

// 48 bytes longer than the plain text. kInvalidArgument for a key to which nothing can be sealed:
// one of small order (RFC 7748, section 6.1), which nobody's secret key makes but anybody can send.
Result<Bytes> seal(ByteSpan plain, const SealPublicKey& to);

// kCorrupt when it was sealed to another key or altered: the two cannot be told apart.
Result<Bytes> open_sealed(ByteSpan sealed, const SealSecretKey& secret);

}  // namespace layby::crypto
