#include "manifest/keys.h"

#include "base/assert.h"
#include "crypto/digest.h"
#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

std::string ed25519_value(const crypto::Ed25519PublicKey& key) {
  return "ed25519:" + to_hex(key);
}

}  // namespace

// Written by hand, since each signature needs the id.
PublicKey PublicKey::from_ed25519(const crypto::Ed25519PublicKey& key) {
  PublicKey made;
  made.scheme_ = Scheme::kEd25519;
  made.ed25519_ = key;
  made.value_ = ed25519_value(key);
  made.canonical_ = fmt::format(
      R"({{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}})", to_hex(key));
  made.wire_ = made.canonical_;
  return made;
}

Result<PublicKey> PublicKey::from_json(const Json& key) {
  const std::string type = TRY(text_field(key, "keytype"));
  const std::string scheme = TRY(text_field(key, "scheme"));
  const Json* value = TRY(object_field(key, "keyval"));
  PublicKey made;
  made.canonical_ = TRY(to_canonical(key));
  made.wire_ = TRY(to_wire(key));
  made.value_ = TRY(to_canonical(Json::array({type, scheme, *value})));
  if (type == "ed25519" && scheme == "ed25519") {
    made.ed25519_ = TRY_CONTEXT(array_from_hex<32>(TRY(text_field(*value, "public"))), "public");
    made.value_ = ed25519_value(made.ed25519_);
    made.scheme_ = Scheme::kEd25519;
  }
  return made;
}

Json PublicKey::to_json() const {
  auto key = parse_strict(as_bytes(wire_), {.bytes_max = wire_.size()});
  LAYBY_ASSERT(key);
  return std::move(*key);
}

KeyId PublicKey::id() const {
  return to_hex(crypto::sha256(as_bytes(canonical_)));
}

bool PublicKey::verify(ByteSpan message, ByteSpan signature) const {
  switch (scheme_) {
    case Scheme::kEd25519: return crypto::verify_ed25519(ed25519_, message, signature);
    case Scheme::kUnknown: return false;
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::manifest
