#include "manifest/ceremony.h"

#include <algorithm>
#include <set>

#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_checks.h"
#include "manifest/metadata_json.h"

namespace layby::manifest {
namespace {

// A document with the envelope around it: not believed, only read.
template <typename Model>
struct Read {
  Envelope envelope;
  Model model;
};
using ReadRoot = Read<Root>;
using ReadTargets = Read<Targets>;

template <typename Model>
Result<Read<Model>> read_document(ByteSpan document, std::uint64_t bytes_max,
                                  Result<Model> decode(const Json&)) {
  auto envelope = TRY(Envelope::parse(document, bytes_max));
  auto model = TRY(decode(envelope.signed_part()));
  return Read<Model>{std::move(envelope), std::move(model)};
}

Result<ReadRoot> read_root(ByteSpan document) {
  return read_document(document, kRootBytesMax, decode_root);
}

Result<ReadTargets> read_targets(ByteSpan document) {
  return read_document(document, kTargetsBytesMax, decode_targets);
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
  const std::uint64_t threshold = root.roles.at(role).threshold;
  const std::size_t keys = keys_of(root, role).size();
  if (threshold >= 1 && keys >= threshold) return {};
  return fail(ErrorCode::kConflict,
              "the {} role would have {} keys and need {} signatures: add a key, or lower its "
              "threshold, first",
              to_string(role), keys, threshold);
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
  if (before.model.version + 1 != version)
    return fail(ErrorCode::kMixAndMatch, "this is root {}, the root before is {} and not {}",
                version, before.model.version, version - 1);
  return before;
}

Result<ReadTargets> read_delegating(ByteSpan document) {
  ReadTargets read = TRY(read_targets(document));
  if (read.model.delegations && read.model.delegations->succinct_roles)
    return fail(ErrorCode::kUnsupported, "these targets have succinct_roles");
  return read;
}

Result<const Delegation*> find_delegation(const Targets& delegator, std::string_view role) {
  if (delegator.delegations) {
    const auto& roles = delegator.delegations->roles;
    const auto at = std::ranges::find(roles, role, &Delegation::name);
    if (at != roles.end()) return &*at;
  }
  return fail(ErrorCode::kNotFound, "version {} delegates to no role {}", delegator.version, role);
}

Result<Delegations> delegations_of(const NewDelegation& wanted) {
  const auto bad = [&](std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, "role {}: {}", wanted.role, what);
  };
  std::string name = TRY(parse_plain_name(wanted.role, "role"));
  Delegation made{.name = std::move(name),
                  .keys = {{}, wanted.threshold},
                  .terminating = wanted.is_terminating,
                  .paths = wanted.paths,
                  .path_hash_prefixes = {},
                  .hardware_ids = wanted.hardware_ids};
  if (wanted.paths.empty()) return bad("it needs a path");
  Delegations delegations;
  for (const PublicKey& key : wanted.keys) {
    if (!delegations.keys.emplace(key.id(), key).second) return bad("a key is given twice");
    made.keys.key_ids.push_back(key.id());
  }
  if (wanted.threshold < 1 || wanted.keys.size() < wanted.threshold)
    return bad(
        fmt::format("{} keys and {} signatures needed", wanted.keys.size(), wanted.threshold));
  delegations.roles.push_back(std::move(made));
  return delegations;
}

// Keys that no delegation names any more are left out.
void drop_unnamed_keys(Json& delegations) {
  std::set<std::string> named;
  for (const Json& role : delegations["roles"])
    for (const Json& id : role["keyids"]) named.insert(id.get_ref<const std::string&>());
  Json keys = Json::object();
  for (const auto& [id, key] : delegations["keys"].items())
    if (named.contains(id)) keys[id] = key;
  delegations["keys"] = std::move(keys);
}

Result<Bytes> draft_of_targets(const Json& signed_part) {
  TRY_CONTEXT(decode_targets(signed_part), "the draft");
  return draft_of(signed_part);
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
  Root& root = read.model;
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
  for (const auto& [id, key] : read.model.keys)
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

Result<Bytes> renew_targets(ByteSpan document, UnixSeconds expires,
                            const std::vector<std::string>& without) {
  const ReadTargets read = TRY(read_targets(document));
  Json part = next_part(read.envelope, read.model.version, expires);
  for (const std::string& name : without)
    if (part["targets"].erase(name) == 0)
      return fail(ErrorCode::kNotFound, "the targets name no image {}", name);
  return draft_of(part);
}

Result<Bytes> delegate_targets(ByteSpan document, const NewDelegation& delegation,
                               UnixSeconds expires) {
  const ReadTargets read = TRY(read_delegating(document));
  Targets alone;
  alone.delegations = TRY(delegations_of(delegation));
  const Json made = encode(alone)["delegations"];
  Json part = next_part(read.envelope, read.model.version, expires);
  if (!read.model.delegations)
    part["delegations"] = Json{{"keys", Json::object()}, {"roles", Json::array()}};
  Json& present = part["delegations"];
  present["keys"].update(made["keys"]);
  Json& roles = present["roles"];
  const auto at = std::ranges::find_if(
      roles, [&](const Json& role) { return role["name"] == delegation.role; });
  if (at != roles.end())
    *at = made["roles"][0];
  else
    roles.push_back(made["roles"][0]);
  drop_unnamed_keys(present);
  return draft_of_targets(part);
}

Result<Bytes> undelegate_targets(ByteSpan document, std::string_view role, UnixSeconds expires) {
  const ReadTargets read = TRY(read_delegating(document));
  TRY(find_delegation(read.model, role));
  Json part = next_part(read.envelope, read.model.version, expires);
  Json& present = part["delegations"];
  Json left = Json::array();
  for (const Json& other : present["roles"])
    if (other["name"] != role) left.push_back(other);
  present["roles"] = std::move(left);
  drop_unnamed_keys(present);
  if (present["roles"].empty()) part.erase("delegations");
  return draft_of_targets(part);
}

Result<Bytes> sign_root(ByteSpan document, const std::optional<Bytes>& previous,
                        const crypto::Signer& by) {
  const ReadRoot read = TRY(read_root(document));
  const auto before = TRY(read_previous(previous, read.model.version));
  const PublicKey key = PublicKey::of(by);
  if (is_named(read.model, Role::kRoot, key) ||
      (before && is_named(before->model, Role::kRoot, key)))
    return add_signature(read.envelope, by);
  return fail(ErrorCode::kForbidden, "{} is no root key of this root{}", key.id(),
              previous ? " nor of the one before" : "; give the one before with --previous");
}

Result<Bytes> sign_targets(ByteSpan document, ByteSpan root, const crypto::Signer& by) {
  const Envelope envelope = TRY(Envelope::parse(document, kTargetsBytesMax));
  TRY(decode_targets(envelope.signed_part()));
  const ReadRoot read = TRY_CONTEXT(read_root(root), "the root");
  const PublicKey key = PublicKey::of(by);
  if (!is_named(read.model, Role::kTargets, key))
    return fail(ErrorCode::kForbidden, "root {} does not name {} for targets", read.model.version,
                key.id());
  return add_signature(envelope, by);
}

Result<Bytes> sign_delegated(ByteSpan document, ByteSpan delegator, std::string_view role,
                             const crypto::Signer& by) {
  const ReadTargets read = TRY(read_targets(document));
  const ReadTargets above = TRY_CONTEXT(read_targets(delegator), "the delegator");
  const Delegation& delegation = *TRY_CONTEXT(find_delegation(above.model, role), "the delegator");
  const PublicKey key = PublicKey::of(by);
  const auto& keys = above.model.delegations->keys;
  const bool is_of_role = std::ranges::any_of(delegation.keys.key_ids, [&](const KeyId& id) {
    const auto at = keys.find(id);
    return at != keys.end() && at->second == key;
  });
  if (!is_of_role)
    return fail(ErrorCode::kForbidden, "{} is no key that is delegated to for {}", key.id(), role);
  return add_signature(read.envelope, by);
}

bool DocumentState::is_complete() const {
  return std::ranges::all_of(counts, [](const SignatureCount& c) { return c.good >= c.needed; });
}

Result<DocumentState> root_state(ByteSpan document, const std::optional<Bytes>& previous) {
  const ReadRoot read = TRY(read_root(document));
  const auto before = TRY(read_previous(previous, read.model.version));
  DocumentState state{read.model.version, read.model.expires, {}};
  if (before)
    state.counts.push_back(count("the root before", read.envelope, before->model, Role::kRoot));
  state.counts.push_back(count("itself", read.envelope, read.model, Role::kRoot));
  return state;
}

Result<DocumentState> targets_state(ByteSpan document, ByteSpan root) {
  const ReadTargets read = TRY(read_targets(document));
  const ReadRoot judge = TRY_CONTEXT(read_root(root), "the root");
  return DocumentState{read.model.version,
                       read.model.expires,
                       {count("the root", read.envelope, judge.model, Role::kTargets)}};
}

Result<DocumentState> delegated_state(ByteSpan document, ByteSpan delegator,
                                      std::string_view role) {
  const ReadTargets read = TRY(read_targets(document));
  const ReadTargets above = TRY_CONTEXT(read_targets(delegator), "the delegator");
  const RoleKeys& keys = TRY_CONTEXT(find_delegation(above.model, role), "the delegator")->keys;
  const std::size_t good = count_signatures(read.envelope, above.model.delegations->keys, keys);
  return DocumentState{
      read.model.version, read.model.expires, {{"the delegation", good, keys.threshold}}};
}

}  // namespace layby::manifest
