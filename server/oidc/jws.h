// Signed tokens (RFC 7515, compact form) and the keys that sign them (RFC 7517). RS256 and ES256,
// nothing else.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "manifest/json.h"

namespace layby::server {

constexpr std::uint64_t kTokenBytesMax = 16 * kKiB;
constexpr std::uint64_t kKeySetBytesMax = 256 * kKiB;
constexpr std::size_t kKeysMax = 64;

enum class JwsAlgorithm { kRs256, kEs256 };

// A provider's public keys by key id. A key has the one algorithm that its type allows here, fixed
// when it is read: a token cannot choose another. Any thread.
class KeySet {
 public:
  // kBadFormat for what is no key set. Keys of other types, for encryption, shorter than 2048 bits
  // or without an id are left out, symmetric ones above all; so is what cannot be read, and both of
  // two with one id: one odd key must not take the others away (RFC 7517, section 5).
  static Result<KeySet> parse(std::string_view text);
  ~KeySet();
  KeySet(KeySet&&) noexcept;
  KeySet& operator=(KeySet&&) noexcept;

  std::size_t size() const { return keys_.size(); }
  bool contains(std::string_view key_id) const { return keys_.find(key_id) != keys_.end(); }
  // Those that were meant for us and are left out, each with the reason.
  const std::vector<std::string>& odd() const { return odd_; }

 private:
  friend class Jws;
  struct Key;
  KeySet();
  std::map<std::string, std::unique_ptr<Key>, std::less<>> keys_;
  std::vector<std::string> odd_;
};

// A token that was taken apart and not believed yet.
class Jws {
 public:
  // kUnauthenticated for what is no token of a kind that is taken here.
  static Result<Jws> parse(std::string_view token);

  const std::string& key_id() const { return key_id_; }

  // The claims, once the signature is that of the named key. kUnauthenticated.
  Result<manifest::Json> verify(const KeySet& keys) const;

 private:
  Jws() = default;
  std::string token_;
  std::string key_id_;
  JwsAlgorithm algorithm_ = JwsAlgorithm::kRs256;
};

}  // namespace layby::server
