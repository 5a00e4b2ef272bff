// Public keys as TUF writes them (1.0.34, section 4.2).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "crypto/keys.h"
#include "crypto/pem_key.h"
#include "manifest/json.h"

namespace layby::manifest {

// Opaque to a verifier: we make SHA-256 of the canonical KEY, others may make anything.
using KeyId = std::string;

// A key that can verify: `ed25519`, `ecdsa-sha2-nistp256` or `rsassa-pss-sha256`. Or one that this
// build cannot use, because it does not know the type: that one is kept, so that metadata stays
// readable, and never verifies anything.
class PublicKey {
 public:
  static PublicKey from_ed25519(const crypto::Ed25519PublicKey& key);
  static PublicKey of(const crypto::Signer& signer);
  // kBadFormat when it is not a KEY, and for a known type with a value that cannot be read; among
  // the keys of others' metadata such a one is kept (kKept) and verifies nothing.
  enum class Unreadable { kRefused, kKept };
  static Result<PublicKey> from_json(const Json& key, Unreadable value = Unreadable::kRefused);

  Json to_json() const;
  KeyId id() const;  // SHA-256 of the canonical KEY, in hexadecimal
  bool verify(ByteSpan message, ByteSpan signature) const;

  // The same key value, under whatever id and with whatever extra fields.
  bool operator==(const PublicKey& other) const { return value_ == other.value_; }
  auto operator<=>(const PublicKey& other) const { return value_ <=> other.value_; }

 private:
  PublicKey() = default;
  Result<void> read(const Json& key);
  std::optional<crypto::Ed25519PublicKey> ed25519_;
  std::optional<crypto::PemKey> pem_;
  std::string value_;      // of the key itself, not its spelling: what makes a key the same key
  std::string canonical_;  // all of the KEY as received: what the id is made of
  std::string wire_;       // the same, readable again
};

// Hexadecimal of others: TUF does not say in which case it is written.
std::string lower_hex(std::string text);

using KeyMap = std::map<KeyId, PublicKey>;

// Who may sign a role, and how many of them must.
struct RoleKeys {
  std::vector<KeyId> key_ids;
  std::uint64_t threshold = 1;
  bool operator==(const RoleKeys&) const = default;
};

}  // namespace layby::manifest
