#include "manifest/envelope.h"

#include <algorithm>
#include <set>

#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

Result<Signature> read_signature(const Json& entry) {
  Signature signature;
  signature.key_id = TRY(text_field(entry, "keyid"));
  // An empty or strange signature is a signature that does not verify, no more: other signers'
  // troubles must not make good ones worthless.
  const auto text = text_field(entry, "sig");
  if (!text) return signature;
  auto bytes = from_hex(lower_hex(*text));
  if (bytes) signature.bytes = std::move(*bytes);
  return signature;
}

}  // namespace

Result<Envelope> Envelope::parse(ByteSpan bytes, std::uint64_t bytes_max) {
  return from_json(TRY(parse_strict(bytes, {.bytes_max = bytes_max})));
}

Result<Envelope> Envelope::from_json(Json document) {
  const Json* signatures = TRY(array_field(document, "signatures"));
  const Json* signed_part = TRY(object_field(document, "signed"));
  if (signatures->size() > kSignaturesMax)
    return fail(ErrorCode::kBadFormat, "{} signatures, at most {} are allowed", signatures->size(),
                kSignaturesMax);
  Envelope envelope;
  std::set<KeyId> seen;
  for (const Json& entry : *signatures) {
    Signature signature = TRY_CONTEXT(read_signature(entry), "signatures");
    // TUF 1.0.34, section 4.2: a key id stands at most once.
    if (!seen.insert(signature.key_id).second)
      return fail(ErrorCode::kBadFormat, "two signatures under the key id {}", signature.key_id);
    envelope.signatures_.push_back(std::move(signature));
  }
  envelope.canonical_ = TRY(to_canonical(*signed_part));
  // The whole document is kept, and only its one part shown: copying large targets costs time.
  const auto kept = std::make_shared<const Json>(std::move(document));
  envelope.signed_ = {kept, find_field(*kept, "signed")};
  return envelope;
}

namespace {

Result<Bytes> join(const Json& signatures, std::string_view canonical) {
  const std::string head = "{\"signatures\":" + TRY(to_wire(signatures)) + ",\"signed\":";
  Bytes document;
  document.reserve(head.size() + canonical.size() + 1);
  document.insert(document.end(), head.begin(), head.end());
  // The wire form is the canonical one with control characters escaped: they stand in texts only.
  for (const char c : canonical) {
    if (static_cast<unsigned char>(c) >= 0x20)
      document.push_back(static_cast<std::uint8_t>(c));
    else
      fmt::format_to(std::back_inserter(document), "\\u{:04x}", static_cast<unsigned>(c));
  }
  document.push_back('}');
  return document;
}

Result<Json> make_signature(std::string_view canonical, const crypto::Signer& by) {
  const Bytes signature = TRY(by.sign(as_bytes(canonical)));
  return Json{{"keyid", PublicKey::of(by).id()}, {"sig", to_hex(signature)}};
}

// The keys of the role that signed, by value: one key under two ids counts once. No more are looked
// for than `enough`.
std::set<PublicKey> signers_of(const Envelope& envelope, const KeyMap& keys, const RoleKeys& role,
                               std::size_t enough) {
  std::set<PublicKey> signers;
  for (const Signature& signature : envelope.signatures()) {
    if (signers.size() >= enough) break;
    if (std::find(role.key_ids.begin(), role.key_ids.end(), signature.key_id) == role.key_ids.end())
      continue;
    const auto key = keys.find(signature.key_id);
    if (key == keys.end() || signers.contains(key->second)) continue;
    if (key->second.verify(as_bytes(envelope.canonical()), signature.bytes))
      signers.insert(key->second);
  }
  return signers;
}

}  // namespace

Result<Bytes> sign_canonical(std::string_view canonical,
                             std::span<const crypto::Signer* const> by) {
  Json signatures = Json::array();
  for (const crypto::Signer* signer : by)
    signatures.push_back(TRY(make_signature(canonical, *signer)));
  return join(signatures, canonical);
}

Result<Bytes> add_signature(const Envelope& envelope, const crypto::Signer& by) {
  Json added = TRY(make_signature(envelope.canonical(), by));
  const std::string id = PublicKey::of(by).id();
  Json signatures = Json::array();
  for (const Signature& signature : envelope.signatures())
    if (signature.key_id != id)
      signatures.push_back(Json{{"keyid", signature.key_id}, {"sig", to_hex(signature.bytes)}});
  signatures.push_back(std::move(added));
  if (signatures.size() > kSignaturesMax)
    return fail(ErrorCode::kTooLarge, "a document has at most {} signatures", kSignaturesMax);
  return join(signatures, envelope.canonical());
}

std::size_t count_signatures(const Envelope& envelope, const KeyMap& keys, const RoleKeys& role) {
  return signers_of(envelope, keys, role, kSignaturesMax).size();
}

Result<Bytes> sign_envelope(const Json& signed_part, std::span<const crypto::Signer* const> by) {
  return sign_canonical(TRY(to_canonical(signed_part)), by);
}

Result<Bytes> sign_envelope(const Json& signed_part, const crypto::Signer& by) {
  const crypto::Signer* const signers[] = {&by};
  return sign_envelope(signed_part, signers);
}

Result<void> verify_threshold(const Envelope& envelope, const KeyMap& keys, const RoleKeys& role,
                              std::string_view what) {
  const auto signers = signers_of(envelope, keys, role, role.threshold);
  if (role.threshold == 0 || signers.size() < role.threshold)
    return fail(ErrorCode::kBadSignature, "{}: {} good signatures of its role, {} are needed", what,
                signers.size(), role.threshold);
  return {};
}

Result<void> verify_signature(const Envelope& envelope, const PublicKey& key,
                              std::string_view what) {
  const KeyId id = key.id();
  for (const Signature& signature : envelope.signatures())
    if (signature.key_id == id && key.verify(as_bytes(envelope.canonical()), signature.bytes))
      return {};
  return fail(ErrorCode::kBadSignature, "{}: not signed by the key {}", what, id);
}

}  // namespace layby::manifest
