// The TUF envelope `{"signatures":[…],"signed":{…}}` around everything signed.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "crypto/keys.h"
#include "manifest/json.h"
#include "manifest/keys.h"

namespace layby::manifest {

struct Signature {
  KeyId key_id;
  Bytes bytes;  // empty where "sig" was no text, or not hexadecimal: it verifies nothing
};

// A document that was read, and not yet believed: nothing in it may be used before
// `verify_threshold`, except to find out who should have signed it.
class Envelope {
 public:
  // kEndlessData above bytes_max, kBadJson and kBadFormat: also for two signatures under one key id
  // and for more than kSignaturesMax.
  static Result<Envelope> parse(ByteSpan bytes, std::uint64_t bytes_max);
  // Of a value inside another document.
  static Result<Envelope> from_json(Json document);

  const std::vector<Signature>& signatures() const { return signatures_; }
  const Json& signed_part() const { return *signed_; }
  const std::string& canonical() const { return canonical_; }  // what the signatures cover

 private:
  Envelope() = default;
  std::vector<Signature> signatures_;
  std::shared_ptr<const Json> signed_;
  std::string canonical_;
};

// Signs the canonical form with each signer, in this order; the bytes of the whole document.
Result<Bytes> sign_envelope(const Json& signed_part, std::span<const crypto::Signer* const> by);

// The same for what already is the canonical form of an object.
Result<Bytes> sign_canonical(std::string_view canonical, std::span<const crypto::Signer* const> by);

// The same for one signer.
Result<Bytes> sign_envelope(const Json& signed_part, const crypto::Signer& by);

// The document with one more signature; one under the same key id makes way for it.
Result<Bytes> add_signature(const Envelope& envelope, const crypto::Signer& by);

// How many different keys of the role signed: what verify_threshold compares with the threshold.
std::size_t count_signatures(const Envelope& envelope, const KeyMap& keys, const RoleKeys& role);

// kBadSignature unless at least `role.threshold` different keys of the role signed. A key counts
// once, under however many ids; bad and unknown signatures beside enough good ones are ignored.
Result<void> verify_threshold(const Envelope& envelope, const KeyMap& keys, const RoleKeys& role,
                              std::string_view what);

// kBadSignature unless this key signed.
Result<void> verify_signature(const Envelope& envelope, const PublicKey& key,
                              std::string_view what);

}  // namespace layby::manifest
