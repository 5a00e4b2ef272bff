// Public keys as TUF writes them (1.0.34, section 4.2).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "crypto/keys.h"
#include "manifest/json.h"

namespace layby::manifest {

// Opaque to a verifier: we make SHA-256 of the canonical KEY, others may make anything.
using KeyId = std::string;

// A key that can verify, or one of a type that this build does not know: that one is kept, so that
// metadata stays readable, and never verifies anything.
class PublicKey {
 public:
  static PublicKey from_ed25519(const crypto::Ed25519PublicKey& key);
  // kBadFormat when it is not a KEY, or says ed25519 and is none.
  static Result<PublicKey> from_json(const Json& key);

  Json to_json() const;
  KeyId id() const;  // SHA-256 of the canonical KEY, in hexadecimal
  bool verify(ByteSpan message, ByteSpan signature) const;

  // The same key value, under whatever id and with whatever extra fields.
  bool operator==(const PublicKey& other) const { return value_ == other.value_; }
  auto operator<=>(const PublicKey& other) const { return value_ <=> other.value_; }

 private:
  PublicKey() = default;
  enum class Scheme { kEd25519, kUnknown };
  Scheme scheme_ = Scheme::kUnknown;
  crypto::Ed25519PublicKey ed25519_{};
  std::string value_;      // type, scheme and key value: what makes a key the same key
  std::string canonical_;  // all of the KEY as received: what the id is made of
  std::string wire_;       // the same, readable again
};

using KeyMap = std::map<KeyId, PublicKey>;

// Who may sign a role, and how many of them must.
struct RoleKeys {
  std::vector<KeyId> key_ids;
  std::uint64_t threshold = 1;
};

}  // namespace layby::manifest
