// Public keys of others' repositories that are no Ed25519 keys: ECDSA on P-256 and RSA. They only
// verify; Layby itself signs with Ed25519 (keys.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace layby::crypto {

// Bits of an RSA modulus: fewer are weak (NIST SP 800-131A), more only cost time.
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;

class PemKey {
 public:
  enum class Kind { kEcdsaP256, kRsa };

  // One block `PUBLIC KEY` (RFC 7468, section 13), for RSA also `RSA PUBLIC KEY` (RFC 8017, A.1.1),
  // and nothing but white space around it. kBadFormat for anything else: another kind, another
  // curve or one that is not named, a modulus outside the limits, an exponent that is even, below
  // 65537 or above 64 bits (FIPS 186-4, B.3.1), bytes behind the key, an encoding that is not DER.
  static Result<PemKey> parse(std::string_view pem, Kind kind);

  // kEcdsaP256: ECDSA with SHA-256 (FIPS 186-4), the signature in DER. kRsa: RSASSA-PSS with
  // SHA-256 and MGF1 of it (RFC 8017, section 8.1), any length of salt.
  bool verify(ByteSpan message, ByteSpan signature) const;

  // The same text for the same key, however its PEM was written; of RSA keys also for all those
  // with one modulus.
  const std::string& value() const { return value_; }

 private:
  struct State;
  PemKey(std::shared_ptr<const State> state, Kind kind, std::string value);
  std::shared_ptr<const State> state_;  // never changes: copies share it
  Kind kind_;
  std::string value_;
};

}  // namespace layby::crypto
