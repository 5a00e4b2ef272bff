#include "manifest/ceremony.h"

#include <algorithm>

#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"

namespace layby::manifest {
namespace {

// A root with the envelope around it: not believed, only read.
struct ReadRoot {
  Envelope envelope;
  Root root;
};

Result<ReadRoot> read_root(ByteSpan document) {
  auto envelope = TRY(Envelope::parse(document, kRootBytesMax));
  auto root = TRY(decode_root(envelope.signed_part()));
  return ReadRoot{std::move(envelope), std::move(root)};
}

Result<Bytes> draft_of(const Json& signed_part) {
  return sign_envelope(signed_part, std::span<const crypto::Signer* const>());
}

Result<Bytes> draft_of_root(const Json& signed_part) {
  TRY_CONTEXT(decode_root(signed_part), "the draft");
  return draft_of(signed_part);
}

// The signed part to go on from: that of a draft, or the next version's.
Json next_part(const Envelope& envelope, Version version, UnixSeconds expires) {
  Json part = envelope.signed_part();
  if (!envelope.signatures().empty()) part["version"] = version + 1;
  part["expires"] = format_utc(expires);
  return part;
}

bool is_named(const Root& root, Role role, const PublicKey& key) {
  const auto& ids = root.roles.at(role).key_ids;
  return std::ranges::any_of(ids, [&](const KeyId& id) {
    const auto at = root.keys.find(id);
    return at != root.keys.end() && at->second == key;
  });
}

Result<void> remove_key(Root& root, Role role, const PublicKey& key) {
  auto& ids = root.roles.at(role).key_ids;
  const auto removed = std::erase_if(ids, [&](const KeyId& id) {
    const auto at = root.keys.find(id);
    return at != root.keys.end() && at->second == key;
  });
  if (removed == 0)
    return fail(ErrorCode::kNotFound, "{} is no key of the {} role", key.id(), to_string(role));
  return {};
}

Result<void> check_reachable(const Root& root, Role role) {
  const RoleKeys& keys = root.roles.at(role);
  if (keys.threshold >= 1 && keys.key_ids.size() >= keys.threshold) return {};
  return fail(ErrorCode::kConflict,
              "the {} role would have {} keys and need {} signatures: add a key, or lower its "
              "threshold, first",
              to_string(role), keys.key_ids.size(), keys.threshold);
}

// Keys that no role names any more are left out.
void put_keys(Json& part, const Root& root) {
  Json keys = Json::object();
  for (const Role role : kRoles) {
    const RoleKeys& named = root.roles.at(role);
    for (const KeyId& id : named.key_ids)
      if (const auto at = root.keys.find(id); at != root.keys.end())
        keys[id] = at->second.to_json();
    part["roles"][std::string(to_string(role))]["keyids"] = named.key_ids;
    part["roles"][std::string(to_string(role))]["threshold"] = named.threshold;
  }
  part["keys"] = std::move(keys);
}

Result<std::optional<ReadRoot>> read_previous(const std::optional<Bytes>& previous,
                                              Version version) {
  if (!previous) return std::nullopt;
  auto before = TRY_CONTEXT(read_root(*previous), "the root before");
  if (before.root.version + 1 != version)
    return fail(ErrorCode::kMixAndMatch, "this is root {}, the root before is {} and not {}",
                version, before.root.version, version - 1);
  return before;
}

SignatureCount count(std::string by, const Envelope& envelope, const Root& root, Role role) {
  const RoleKeys& keys = root.roles.at(role);
  return {std::move(by), count_signatures(envelope, root.keys, keys), keys.threshold};
}

}  // namespace

Result<Bytes> draft_root(const FirstRoot& first) {
  Root root;
  root.expires = first.expires;
  for (const Role role : kRoles) {
    const auto keys = first.keys.find(role);
    if (keys == first.keys.end() || keys->second.empty())
      return fail(ErrorCode::kInvalidArgument, "the {} role needs a key", to_string(role));
    for (const PublicKey& key : keys->second) {
      if (root.roles.contains(role) && is_named(root, role, key))
        return fail(ErrorCode::kInvalidArgument, "the {} role is given {} twice", to_string(role),
                    key.id());
      root.add_key(role, key);
    }
    const auto threshold = first.thresholds.find(role);
    if (threshold != first.thresholds.end()) root.roles[role].threshold = threshold->second;
    if (auto reachable = check_reachable(root, role); !reachable)
      return fail(ErrorCode::kInvalidArgument, "{}", reachable.error().message());
  }
  return draft_of_root(encode(root));
}

Result<Bytes> edit_root(ByteSpan document, const RootEdit& edit, UnixSeconds expires) {
  ReadRoot read = TRY(read_root(document));
  Root& root = read.root;
  if (edit.add && is_named(root, edit.role, *edit.add))
    return fail(ErrorCode::kAlreadyExists, "{} is a key of the {} role already", edit.add->id(),
                to_string(edit.role));
  if (edit.remove) TRY_VOID(remove_key(root, edit.role, *edit.remove));
  if (edit.add) root.add_key(edit.role, *edit.add);
  if (edit.threshold) root.roles.at(edit.role).threshold = *edit.threshold;
  TRY_VOID(check_reachable(root, edit.role));
  Json part = next_part(read.envelope, root.version, expires);
  put_keys(part, root);
  return draft_of_root(part);
}

Result<PublicKey> find_root_key(ByteSpan document, std::string_view id_begin) {
  const ReadRoot read = TRY(read_root(document));
  std::vector<const PublicKey*> found;
  for (const auto& [id, key] : read.root.keys)
    if (id.starts_with(id_begin)) found.push_back(&key);
  if (found.size() == 1) return *found.front();
  return fail(ErrorCode::kNotFound, "{} keys of the root have an id that begins with {}",
              found.size(), id_begin);
}

Result<Bytes> draft_targets(UnixSeconds expires) {
  Targets targets;
  targets.expires = expires;
  return draft_of(encode(targets));
}

Result<Bytes> renew_targets(ByteSpan document, UnixSeconds expires) {
  const Envelope envelope = TRY(Envelope::parse(document, kTargetsBytesMax));
  const Targets targets = TRY(decode_targets(envelope.signed_part()));
  return draft_of(next_part(envelope, targets.version, expires));
}

Result<Bytes> sign_root(ByteSpan document, const std::optional<Bytes>& previous,
                        const crypto::Signer& by) {
  const ReadRoot read = TRY(read_root(document));
  const auto before = TRY(read_previous(previous, read.root.version));
  const PublicKey key = PublicKey::of(by);
  if (is_named(read.root, Role::kRoot, key) || (before && is_named(before->root, Role::kRoot, key)))
    return add_signature(read.envelope, by);
  return fail(ErrorCode::kForbidden, "{} is no root key of this root{}", key.id(),
              previous ? " nor of the one before" : "; give the one before with --previous");
}

Result<Bytes> sign_targets(ByteSpan document, ByteSpan root, const crypto::Signer& by) {
  const Envelope envelope = TRY(Envelope::parse(document, kTargetsBytesMax));
  TRY(decode_targets(envelope.signed_part()));
  const ReadRoot read = TRY_CONTEXT(read_root(root), "the root");
  const PublicKey key = PublicKey::of(by);
  if (!is_named(read.root, Role::kTargets, key))
    return fail(ErrorCode::kForbidden, "root {} does not name {} for targets", read.root.version,
                key.id());
  return add_signature(envelope, by);
}

bool DocumentState::is_complete() const {
  return std::ranges::all_of(counts, [](const SignatureCount& c) { return c.good >= c.needed; });
}

Result<DocumentState> root_state(ByteSpan document, const std::optional<Bytes>& previous) {
  const ReadRoot read = TRY(read_root(document));
  const auto before = TRY(read_previous(previous, read.root.version));
  DocumentState state{read.root.version, read.root.expires, {}};
  if (before)
    state.counts.push_back(count("the root before", read.envelope, before->root, Role::kRoot));
  state.counts.push_back(count("itself", read.envelope, read.root, Role::kRoot));
  return state;
}

Result<DocumentState> targets_state(ByteSpan document, ByteSpan root) {
  const Envelope envelope = TRY(Envelope::parse(document, kTargetsBytesMax));
  const Targets targets = TRY(decode_targets(envelope.signed_part()));
  const ReadRoot read = TRY_CONTEXT(read_root(root), "the root");
  return DocumentState{
      targets.version, targets.expires, {count("the root", envelope, read.root, Role::kTargets)}};
}

}  // namespace layby::manifest
