// Signing keys and the Signer seam.
//
// Ed25519 (RFC 8032) signs everything that Layby makes. Verification refuses keys of small order
// and non-canonical signatures, as libsodium does.
#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"

namespace layby::crypto {

using Ed25519PublicKey = std::array<std::uint8_t, 32>;
using Ed25519Seed = std::array<std::uint8_t, 32>;
using Ed25519Signature = std::array<std::uint8_t, 64>;

bool verify_ed25519(const Ed25519PublicKey& key, ByteSpan message, ByteSpan signature);

// Something that can sign with one private key, which it may not be able to show. Any thread.
class Signer {
 public:
  virtual ~Signer() = default;
  virtual Ed25519PublicKey public_key() const = 0;
  virtual Result<Ed25519Signature> sign(ByteSpan message) const = 0;
};

// A key held in this process's memory, which is locked and wiped where the system allows it.
class MemorySigner final : public Signer {
 public:
  static std::unique_ptr<MemorySigner> generate();
  static std::unique_ptr<MemorySigner> from_seed(const Ed25519Seed& seed);
  ~MemorySigner() override;
  MemorySigner(const MemorySigner&) = delete;
  MemorySigner& operator=(const MemorySigner&) = delete;

  Ed25519PublicKey public_key() const override;
  Result<Ed25519Signature> sign(ByteSpan message) const override;
  Ed25519Seed seed() const;

 private:
  MemorySigner() = default;
  std::array<std::uint8_t, 64> secret_;
};

}  // namespace layby::crypto
