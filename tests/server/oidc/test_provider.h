// A small identity provider: keys, a key set, and tokens signed well or badly.
#pragma once

#include <memory>
#include <string>

#include "manifest/json_value.h"

namespace layby::tests {

enum class KeyType { kRsa, kEc, kShortRsa };

class ProviderKey {
 public:
  ProviderKey(KeyType type, std::string id);
  ~ProviderKey();
  ProviderKey(ProviderKey&&) noexcept;

  const std::string& id() const { return id_; }
  manifest::Json jwk() const;
  // The public key as PEM: what an attacker tries as the secret of HS256.
  std::string public_pem() const;
  // Over the text, as a JWS carries it: RS256, or ES256 as r and s.
  std::string sign(const std::string& text) const;

  // A token with this header and these claims, signed by this key.
  std::string token(const manifest::Json& header, const manifest::Json& claims) const;
  // As a provider does it.
  std::string token(const manifest::Json& claims) const;

 private:
  struct State;
  std::string id_;
  KeyType type_;
  std::unique_ptr<State> state_;
};

std::string base64url(std::string_view bytes);
std::string key_set(const std::vector<manifest::Json>& keys);

}  // namespace layby::tests
