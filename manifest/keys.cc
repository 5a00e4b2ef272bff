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

std::string lower_hex(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// Written by hand, since each signature needs the id.
PublicKey PublicKey::from_ed25519(const crypto::Ed25519PublicKey& key) {
  PublicKey made;
  made.ed25519_ = key;
  made.value_ = ed25519_value(key);
  made.canonical_ = fmt::format(
      R"({{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}})", to_hex(key));
  made.wire_ = made.canonical_;
  return made;
}

PublicKey PublicKey::of(const crypto::Signer& signer) {
  const crypto::PublicPart part = signer.public_part();
  if (part.scheme == crypto::PublicPart::Scheme::kEd25519) {
    const auto key = array_from_hex<32>(part.value);
    LAYBY_ASSERT(key);
    return from_ed25519(*key);
  }
  auto key = from_json(Json{{"keytype", "ecdsa"},
                            {"scheme", "ecdsa-sha2-nistp256"},
                            {"keyval", {{"public", part.value}}}});
  LAYBY_ASSERT(key);
  return std::move(*key);
}

Result<void> PublicKey::read(const Json& key) {
  using Kind = crypto::PemKey::Kind;
  const std::string type = TRY(text_field(key, "keytype"));
  const std::string scheme = TRY(text_field(key, "scheme"));
  const Json& value = *TRY(object_field(key, "keyval"));
  value_ = TRY(to_canonical(Json::array({type, scheme, value})));
  // Earlier versions of the specification had the scheme's name for the type too.
  const bool is_ecdsa_type = type == "ecdsa" || type == "ecdsa-sha2-nistp256";
  if (type == "ed25519" && scheme == "ed25519") {
    const std::string hex = lower_hex(TRY(text_field(value, "public")));
    ed25519_ = TRY_CONTEXT(array_from_hex<32>(hex), "public");
    value_ = ed25519_value(*ed25519_);
  } else if (is_ecdsa_type && scheme == "ecdsa-sha2-nistp256") {
    pem_ = TRY(crypto::PemKey::parse(TRY(text_field(value, "public")), Kind::kEcdsaP256));
    value_ = pem_->value();
  } else if (type == "rsa" && scheme == "rsassa-pss-sha256") {
    pem_ = TRY(crypto::PemKey::parse(TRY(text_field(value, "public")), Kind::kRsa));
    value_ = pem_->value();
  }
  return {};
}

Result<PublicKey> PublicKey::from_json(const Json& key, Unreadable value) {
  if (!key.is_object()) return fail(ErrorCode::kBadFormat, "a key is no object");
  PublicKey made;
  made.canonical_ = TRY(to_canonical(key));
  made.wire_ = TRY(to_wire(key));
  made.value_ = made.canonical_;
  auto read = made.read(key);
  if (!read && value == Unreadable::kRefused) return fail(std::move(read.error()));
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
  if (ed25519_) return crypto::verify_ed25519(*ed25519_, message, signature);
  return pem_ && pem_->verify(message, signature);
}

}  // namespace layby::manifest
