// Drafts of roots and targets, as people hand them around: the input is a document, or its `signed`
// part. What is not changed is taken over as it stands, the version grows by one where there are
// signatures, and a signature changes nothing but the count of them.
#include <set>

#include "base/assert.h"
#include "base/limits.h"
#include "manifest/ceremony.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"

using namespace layby;
using namespace layby::manifest;

namespace {

constexpr UnixSeconds kExpires = 1'800'000'000;

struct Keys {
  std::unique_ptr<crypto::MemorySigner> known = crypto::MemorySigner::from_seed({1, 2, 3});
  std::unique_ptr<crypto::MemorySigner> fresh = crypto::MemorySigner::from_seed({7, 8, 9});
};

Envelope read(ByteSpan document) {
  auto envelope = Envelope::parse(document, kTargetsBytesMax);
  LAYBY_ASSERT(envelope);
  return std::move(*envelope);
}

// All but what a draft may change.
Json rest_of(const Envelope& envelope, std::initializer_list<const char*> changed) {
  Json part = envelope.signed_part();
  for (const char* name : changed) part.erase(name);
  return part;
}

void check_next(const Envelope& before, const Envelope& after) {
  const auto version = [](const Envelope& e) { return *uint_field(e.signed_part(), "version"); };
  LAYBY_ASSERT(after.signatures().empty());
  LAYBY_ASSERT(version(after) == version(before) + (before.signatures().empty() ? 0 : 1));
  LAYBY_ASSERT(time_field(after.signed_part(), "expires") == kExpires);
}

// Keys that could sign, each once.
std::size_t usable_keys(const Root& root, Role role) {
  std::set<PublicKey> values;
  for (const KeyId& id : root.roles.at(role).key_ids)
    if (const auto at = root.keys.find(id); at != root.keys.end()) values.insert(at->second);
  return values.size();
}

void check_edit(ByteSpan document, const RootEdit& edit) {
  const auto edited = edit_root(document, edit, kExpires);
  if (!edited) return;
  const Envelope before = read(document), after = read(*edited);
  check_next(before, after);
  const auto kept_out = {"version", "expires", "keys", "roles"};
  LAYBY_ASSERT(rest_of(before, kept_out) == rest_of(after, kept_out));
  const Root old_root = *decode_root(before.signed_part());
  const Root root = *decode_root(after.signed_part());
  LAYBY_ASSERT(usable_keys(root, edit.role) >= root.roles.at(edit.role).threshold);
  for (const Role role : kRoles) {
    if (role == edit.role) continue;
    LAYBY_ASSERT(root.roles.at(role).key_ids == old_root.roles.at(role).key_ids);
    LAYBY_ASSERT(root.roles.at(role).threshold == old_root.roles.at(role).threshold);
    LAYBY_ASSERT(usable_keys(root, role) == usable_keys(old_root, role));
  }
  if (!edit.add) return;
  // The key goes again, and leaves nothing behind.
  const auto undone = edit_root(*edited, {.role = edit.role, .remove = edit.add}, kExpires);
  if (!undone) return;
  const Root back = *decode_root(read(*undone).signed_part());
  LAYBY_ASSERT(back.roles.at(edit.role).key_ids == old_root.roles.at(edit.role).key_ids);
}

void check_signed(ByteSpan document, const Result<Bytes>& signed_document, const PublicKey& key,
                  const RoleKeys& role, const KeyMap& keys) {
  if (!signed_document) return;
  const Envelope before = read(document), after = read(*signed_document);
  LAYBY_ASSERT(after.canonical() == before.canonical());
  LAYBY_ASSERT(verify_signature(after, key, "signed"));
  LAYBY_ASSERT(count_signatures(after, keys, role) >= count_signatures(before, keys, role));
}

void check_root(const Keys& keys, ByteSpan document) {
  const auto state = root_state(document, std::nullopt);
  if (!state) return;
  const PublicKey known = PublicKey::of(*keys.known), fresh = PublicKey::of(*keys.fresh);
  for (const Role role : kRoles) {
    check_edit(document, {.role = role, .add = fresh});
    check_edit(document, {.role = role, .remove = known});
    check_edit(document, {.role = role, .threshold = 2});
  }
  const Root root = *decode_root(read(document).signed_part());
  LAYBY_ASSERT(root.version == state->version && root.expires == state->expires);
  check_signed(document, sign_root(document, std::nullopt, *keys.known), known,
               root.roles.at(Role::kRoot), root.keys);
  if (!root.keys.empty()) {
    const auto found = find_root_key(document, root.keys.begin()->first);
    LAYBY_ASSERT(!found || *found == root.keys.begin()->second);
  }
}

void check_targets(const Keys& keys, ByteSpan document, const Bytes& root_document) {
  const auto state = targets_state(document, root_document);
  if (!state) return;
  if (const auto next = renew_targets(document, kExpires)) {
    const Envelope before = read(document), after = read(*next);
    check_next(before, after);
    LAYBY_ASSERT(rest_of(before, {"version", "expires"}) == rest_of(after, {"version", "expires"}));
  }
  const Root root = *decode_root(read(root_document).signed_part());
  LAYBY_ASSERT(!sign_targets(document, root_document, *keys.fresh));
  check_signed(document, sign_targets(document, root_document, *keys.known),
               PublicKey::of(*keys.known), root.roles.at(Role::kTargets), root.keys);
}

Bytes draft_root_of(const PublicKey& key) {
  FirstRoot first;
  first.expires = kExpires;
  for (const Role role : kRoles) first.keys[role] = {key};
  return *draft_root(first);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Keys keys;
  static const Bytes root = draft_root_of(PublicKey::of(*keys.known));
  const auto check = [&](ByteSpan document) {
    check_root(keys, document);
    check_targets(keys, document, root);
  };
  const ByteSpan raw{data, size};
  check(raw);
  const auto part = parse_strict(raw, {.bytes_max = 256 * kKiB, .depth_max = kJsonDepthMax - 1});
  if (!part || !part->is_object()) return 0;
  check(*sign_envelope(*part, std::span<const crypto::Signer* const>()));
  check(*sign_envelope(*part, *keys.known));
  return 0;
}
