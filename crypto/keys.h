// Signing keys and the Signer seam.
//
// Ed25519 (RFC 8032) signs everything that Layby makes, but where a hardware token that has no
// Ed25519 signs with ECDSA on P-256. Verification refuses keys of small order and non-canonical
// signatures, as libsodium does.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace layby::crypto {

using Ed25519PublicKey = std::array<std::uint8_t, 32>;
using Ed25519Seed = std::array<std::uint8_t, 32>;

bool verify_ed25519(const Ed25519PublicKey& key, ByteSpan message, ByteSpan signature);

// What others verify a signer's signatures with.
struct PublicPart {
  enum class Scheme { kEd25519, kEcdsaP256 } scheme = Scheme::kEd25519;
  std::string value;  // kEd25519: 64 hexadecimal digits. kEcdsaP256: `PUBLIC KEY` in PEM
};

// Something that can sign with one private key, which it may not be able to show. Any thread.
class Signer {
 public:
  virtual ~Signer() = default;
  virtual PublicPart public_part() const = 0;
  // kEd25519: 64 bytes. kEcdsaP256: with SHA-256, the signature in DER (as PemKey verifies it).
  virtual Result<Bytes> sign(ByteSpan message) const = 0;
};

// A key held in this process's memory, which is locked and wiped where the system allows it.
class MemorySigner final : public Signer {
 public:
  static std::unique_ptr<MemorySigner> generate();
  static std::unique_ptr<MemorySigner> from_seed(const Ed25519Seed& seed);
  ~MemorySigner() override;
  MemorySigner(const MemorySigner&) = delete;
  MemorySigner& operator=(const MemorySigner&) = delete;

  Ed25519PublicKey public_key() const;
  PublicPart public_part() const override;
  Result<Bytes> sign(ByteSpan message) const override;
  Ed25519Seed seed() const;

 private:
  MemorySigner() = default;
  std::array<std::uint8_t, 64> secret_;
};

}  // namespace layby::crypto
