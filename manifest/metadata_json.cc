#include "manifest/metadata_json.h"

#include <algorithm>
#include <set>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

constexpr std::string_view kSpecVersion = "1.0.34";

// Of one document. To read an ECDSA key takes longer than to fetch it: 0.2 ms each.
constexpr std::size_t kPemKeysMax = 2048;

// Of one delegation: every revision of what one supplier makes.
constexpr std::size_t kDelegationHardwareMax = 256;

// "1.x" or "1.x.y": another major version may mean something else by the same words
// (section 4.2.1).
bool supported_spec_version(std::string_view text) {
  return text.starts_with("1.") && text.size() > 2 &&
         text.find_first_not_of("0123456789.") == std::string_view::npos;
}

struct Common {
  Version version;
  UnixSeconds expires;
};

Result<Common> read_common(const Json& part, Role role) {
  const std::string type = TRY(text_field(part, "_type"));
  if (type != to_string(role))
    return fail(ErrorCode::kBadFormat, "\"_type\" is {}, not {}", type, to_string(role));
  const std::string spec_version = TRY(text_field(part, "spec_version"));
  if (!supported_spec_version(spec_version))
    return fail(ErrorCode::kUnsupported, "\"spec_version\" is {}, this build knows 1.x",
                spec_version);
  const Version version = TRY(uint_field(part, "version"));
  if (version == 0) return fail(ErrorCode::kBadFormat, "\"version\" is 0");
  const UnixSeconds expires = TRY(time_field(part, "expires"));
  return Common{version, expires};
}

Result<KeyMap> read_keys(const Json& part) {
  KeyMap keys;
  const Json* object = TRY(object_field(part, "keys"));
  std::size_t pem_keys = 0;
  for (const auto& [id, key] : object->get_ref<const Json::object_t&>()) {
    const Json* type = find_field(key, "keytype");
    if (type != nullptr && *type != "ed25519" && ++pem_keys > kPemKeysMax)
      return fail(ErrorCode::kTooLarge, "more than {} keys that are no Ed25519 keys", kPemKeysMax);
    keys.emplace(id,
                 TRY_CONTEXT(PublicKey::from_json(key, PublicKey::Unreadable::kKept), "key " + id));
  }
  return keys;
}

Result<RoleKeys> read_role_keys(const Json& role) {
  RoleKeys keys;
  keys.threshold = TRY(uint_field(role, "threshold"));
  if (keys.threshold == 0) return fail(ErrorCode::kBadFormat, "\"threshold\" is 0");
  const Json* ids = TRY(array_field(role, "keyids"));
  std::set<KeyId> seen;
  for (const Json& id : *ids) {
    if (!id.is_string()) return fail(ErrorCode::kBadFormat, "\"keyids\" holds something else");
    keys.key_ids.push_back(id.get_ref<const std::string&>());
    if (!seen.insert(keys.key_ids.back()).second)
      return fail(ErrorCode::kBadFormat, "\"keyids\" names {} twice", keys.key_ids.back());
  }
  return keys;
}

// Unknown algorithms are passed over; what is left may be nothing. To who asks for a file, what
// cannot be read is as no hash at all, with which nothing can be downloaded: one entry must not
// spoil the others.
Result<Hashes> read_hashes(const Json& entry) {
  Hashes hashes;
  const Json* object = TRY(object_field(entry, "hashes"));
  for (const auto& [algorithm, value] : object->get_ref<const Json::object_t&>())
    if (!value.is_string()) return fail(ErrorCode::kBadFormat, "hash {} is no text", algorithm);
  const auto hex = [&](const char* algorithm) -> Result<std::string> {
    return lower_hex(TRY(text_field(*object, algorithm)));
  };
  if (find_field(*object, "sha256"))
    hashes.sha256 = TRY_CONTEXT(array_from_hex<32>(TRY(hex("sha256"))), "sha256");
  if (find_field(*object, "sha512"))
    hashes.sha512 = TRY_CONTEXT(array_from_hex<64>(TRY(hex("sha512"))), "sha512");
  return hashes;
}

Result<FileEntry> read_file_entry(const Json& entry) {
  FileEntry file;
  file.version = TRY(uint_field(entry, "version"));
  if (file.version == 0) return fail(ErrorCode::kBadFormat, "\"version\" is 0");
  if (find_field(entry, "length")) file.length = TRY(uint_field(entry, "length"));
  if (find_field(entry, "hashes")) {
    file.hashes = read_hashes(entry).value_or(Hashes{});
    if (file.hashes.empty()) file.proof = FileEntry::Proof::kNone;
  }
  return file;
}

Result<std::string> read_custom(const Json& holder) {
  const Json* custom = find_field(holder, "custom");
  // TUF knows it in targets only, and says no more than that it is an object; who needs one misses
  // it.
  if (custom == nullptr || !custom->is_object()) return std::string();
  return to_wire(*custom);
}

Result<Target> read_target(const Json& entry) {
  TRY_VOID(object_field(entry, "hashes"));
  Target target;
  target.custom = TRY(read_custom(entry));
  const auto length = uint_field(entry, "length");
  if (!length) return target;  // and no hashes: as if those could not be read
  target.length = *length;
  target.hashes = read_hashes(entry).value_or(Hashes{});
  return target;
}

Result<std::vector<std::string>> read_texts(const Json& array) {
  std::vector<std::string> texts;
  for (const Json& text : array) {
    if (!text.is_string()) return fail(ErrorCode::kBadFormat, "a list of texts holds another");
    texts.push_back(text.get_ref<const std::string&>());
  }
  return texts;
}

Result<std::vector<HardwareId>> read_hardware_ids(const Json& entry) {
  const Json* array = TRY(array_field(entry, "hardwareIds"));
  if (array->empty() || array->size() > kDelegationHardwareMax)
    return fail(ErrorCode::kBadFormat, "\"hardwareIds\" has 1 to {} hardware ids, not {}",
                kDelegationHardwareMax, array->size());
  std::vector<HardwareId> ids;
  std::set<std::string> seen;
  for (const std::string& text : TRY(read_texts(*array))) {
    auto id = HardwareId::parse(text);
    if (!id) return fail(ErrorCode::kBadFormat, "\"hardwareIds\": {}", id.error().message());
    if (!seen.insert(text).second)
      return fail(ErrorCode::kBadFormat, "\"hardwareIds\" names {} twice", text);
    ids.push_back(std::move(*id));
  }
  return ids;
}

Result<Delegation> read_delegation(const Json& entry) {
  Delegation role;
  role.name = TRY(text_field(entry, "name"));
  for (const Role top : kRoles)
    if (role.name == to_string(top))
      return fail(ErrorCode::kBadFormat, "a delegated role is named {}", role.name);
  if (role.name.empty()) return fail(ErrorCode::kBadFormat, "a delegated role has no name");
  role.keys = TRY(read_role_keys(entry));
  role.terminating = TRY(bool_field(entry, "terminating"));
  const bool by_path = find_field(entry, "paths") != nullptr;
  const bool by_hash = find_field(entry, "path_hash_prefixes") != nullptr;
  if (by_path == by_hash)
    return fail(ErrorCode::kBadFormat, "one of \"paths\" and \"path_hash_prefixes\" is needed");
  if (by_path)
    role.paths = TRY(read_texts(*TRY(array_field(entry, "paths"))));
  else
    for (std::string& prefix : TRY(read_texts(*TRY(array_field(entry, "path_hash_prefixes")))))
      role.path_hash_prefixes.push_back(lower_hex(std::move(prefix)));
  if (find_field(entry, "hardwareIds"))
    role.hardware_ids = TRY_CONTEXT(read_hardware_ids(entry), "role " + role.name);
  return role;
}

Result<SuccinctRoles> read_succinct_roles(const Json& object) {
  if (find_field(object, "hardwareIds"))
    return fail(ErrorCode::kBadFormat, "bins have no \"hardwareIds\" of their own");
  SuccinctRoles roles;
  roles.keys = TRY(read_role_keys(object));
  roles.bit_length = static_cast<unsigned>(TRY(uint_field(object, "bit_length", 32)));
  if (roles.bit_length == 0) return fail(ErrorCode::kBadFormat, "\"bit_length\" is 0");
  roles.name_prefix = TRY(text_field(object, "name_prefix"));
  return roles;
}

Result<Delegations> read_delegations(const Json& object) {
  Delegations delegations;
  delegations.keys = TRY(read_keys(object));
  if (find_field(object, "succinct_roles")) {
    if (find_field(object, "roles"))
      return fail(ErrorCode::kBadFormat, "both \"roles\" and \"succinct_roles\"");
    delegations.succinct_roles = TRY_CONTEXT(
        read_succinct_roles(*TRY(object_field(object, "succinct_roles"))), "succinct_roles");
    return delegations;
  }
  const Json* roles = TRY(array_field(object, "roles"));
  std::set<std::string> names;
  for (const Json& entry : *roles) {
    delegations.roles.push_back(TRY(read_delegation(entry)));
    if (!names.insert(delegations.roles.back().name).second)
      return fail(ErrorCode::kBadFormat, "role {} is delegated twice",
                  delegations.roles.back().name);
  }
  return delegations;
}

Json common_json(Role role, Version version, UnixSeconds expires) {
  LAYBY_ASSERT(version >= 1 && version <= kJsonIntegerMax);
  return Json{{"_type", to_string(role)},
              {"spec_version", kSpecVersion},
              {"version", version},
              {"expires", format_utc(expires)}};
}

Json keys_json(const KeyMap& keys) {
  Json object = Json::object();
  for (const auto& [id, key] : keys) object[id] = key.to_json();
  return object;
}

Json role_keys_json(const RoleKeys& role) {
  return Json{{"keyids", role.key_ids}, {"threshold", role.threshold}};
}

Json hashes_json(const Hashes& hashes) {
  Json object = Json::object();
  if (hashes.sha256) object["sha256"] = to_hex(*hashes.sha256);
  if (hashes.sha512) object["sha512"] = to_hex(*hashes.sha512);
  return object;
}

Json file_entry_json(const FileEntry& file) {
  Json object{{"version", file.version}};
  if (file.length) object["length"] = *file.length;
  if (!file.hashes.empty()) object["hashes"] = hashes_json(file.hashes);
  return object;
}

// `custom` is text that we wrote.
Json custom_json(const std::string& custom) {
  auto value = parse_strict(as_bytes(custom), {.bytes_max = custom.size()});
  LAYBY_ASSERT(value && value->is_object());
  return std::move(*value);
}

Json delegation_json(const Delegation& role) {
  Json object = role_keys_json(role.keys);
  object["name"] = role.name;
  object["terminating"] = role.terminating;
  if (role.path_hash_prefixes.empty())
    object["paths"] = role.paths;
  else
    object["path_hash_prefixes"] = role.path_hash_prefixes;
  for (const HardwareId& id : role.hardware_ids) object["hardwareIds"].push_back(id.text());
  return object;
}

Json delegations_json(const Delegations& delegations) {
  Json object{{"keys", keys_json(delegations.keys)}};
  if (const auto& succinct = delegations.succinct_roles) {
    Json roles = role_keys_json(succinct->keys);
    roles["bit_length"] = succinct->bit_length;
    roles["name_prefix"] = succinct->name_prefix;
    object["succinct_roles"] = std::move(roles);
    return object;
  }
  object["roles"] = Json::array();
  for (const Delegation& role : delegations.roles) object["roles"].push_back(delegation_json(role));
  return object;
}

}  // namespace

Result<Root> decode_root(const Json& signed_part) {
  const Common common = TRY_CONTEXT(read_common(signed_part, Role::kRoot), "root");
  Root root;
  root.version = common.version;
  root.expires = common.expires;
  // Optional in the specification, and false then (section 4.3).
  root.consistent_snapshot = find_field(signed_part, "consistent_snapshot") != nullptr &&
                             TRY_CONTEXT(bool_field(signed_part, "consistent_snapshot"), "root");
  root.keys = TRY_CONTEXT(read_keys(signed_part), "root");
  const Json* roles = TRY_CONTEXT(object_field(signed_part, "roles"), "root");
  for (const Role role : kRoles) {
    const Json* entry = TRY_CONTEXT(object_field(*roles, to_string(role)), "root: roles");
    root.roles[role] = TRY_CONTEXT(read_role_keys(*entry), to_string(role));
  }
  return root;
}

Result<Timestamp> decode_timestamp(const Json& signed_part) {
  const Common common = TRY_CONTEXT(read_common(signed_part, Role::kTimestamp), "timestamp");
  const Json* meta = TRY_CONTEXT(object_field(signed_part, "meta"), "timestamp");
  const Json* entry = TRY_CONTEXT(object_field(*meta, "snapshot.json"), "timestamp");
  FileEntry snapshot = TRY_CONTEXT(read_file_entry(*entry), "timestamp: snapshot.json");
  // It is all that a timestamp says: with it the whole is worth nothing.
  if (snapshot.proof == FileEntry::Proof::kNone)
    return fail(ErrorCode::kBadFormat, "timestamp: no hash of a known algorithm");
  std::string custom = TRY_CONTEXT(read_custom(signed_part), "timestamp");
  return Timestamp{common.version, common.expires, std::move(snapshot), std::move(custom)};
}

Result<Snapshot> decode_snapshot(const Json& signed_part) {
  const Common common = TRY_CONTEXT(read_common(signed_part, Role::kSnapshot), "snapshot");
  Snapshot snapshot{common.version, common.expires, {}, {}};
  const Json* meta = TRY_CONTEXT(object_field(signed_part, "meta"), "snapshot");
  for (const auto& [name, entry] : meta->get_ref<const Json::object_t&>())
    snapshot.files.emplace(name, TRY_CONTEXT(read_file_entry(entry), "snapshot: " + name));
  if (!snapshot.files.contains("targets.json"))
    return fail(ErrorCode::kBadFormat, "snapshot: targets.json is missing");
  snapshot.custom = TRY_CONTEXT(read_custom(signed_part), "snapshot");
  return snapshot;
}

Result<Targets> decode_targets(const Json& signed_part) {
  const Common common = TRY_CONTEXT(read_common(signed_part, Role::kTargets), "targets");
  Targets targets;
  targets.version = common.version;
  targets.expires = common.expires;
  const Json* entries = TRY_CONTEXT(object_field(signed_part, "targets"), "targets");
  for (const auto& [name, entry] : entries->get_ref<const Json::object_t&>())
    targets.targets.emplace(name, TRY_CONTEXT(read_target(entry), "targets: " + name));
  if (find_field(signed_part, "delegations")) {
    const Json* object = TRY_CONTEXT(object_field(signed_part, "delegations"), "targets");
    targets.delegations = TRY_CONTEXT(read_delegations(*object), "targets: delegations");
  }
  targets.custom = TRY_CONTEXT(read_custom(signed_part), "targets");
  return targets;
}

Json encode(const Root& root) {
  Json part = common_json(Role::kRoot, root.version, root.expires);
  part["consistent_snapshot"] = root.consistent_snapshot;
  part["keys"] = keys_json(root.keys);
  Json roles = Json::object();
  for (const Role role : kRoles) roles[to_string(role)] = role_keys_json(root.roles.at(role));
  part["roles"] = std::move(roles);
  return part;
}

Json encode(const Timestamp& timestamp) {
  Json part = common_json(Role::kTimestamp, timestamp.version, timestamp.expires);
  part["meta"] = Json{{"snapshot.json", file_entry_json(timestamp.snapshot)}};
  if (!timestamp.custom.empty()) part["custom"] = custom_json(timestamp.custom);
  return part;
}

Json encode(const Snapshot& snapshot) {
  Json part = common_json(Role::kSnapshot, snapshot.version, snapshot.expires);
  Json meta = Json::object();
  for (const auto& [name, file] : snapshot.files) meta[name] = file_entry_json(file);
  part["meta"] = std::move(meta);
  if (!snapshot.custom.empty()) part["custom"] = custom_json(snapshot.custom);
  return part;
}

Json encode(const Targets& targets) {
  Json part = common_json(Role::kTargets, targets.version, targets.expires);
  Json entries = Json::object();
  for (const auto& [name, target] : targets.targets) {
    Json entry{{"length", target.length}, {"hashes", hashes_json(target.hashes)}};
    if (!target.custom.empty()) entry["custom"] = custom_json(target.custom);
    entries[name] = std::move(entry);
  }
  part["targets"] = std::move(entries);
  if (targets.delegations) part["delegations"] = delegations_json(*targets.delegations);
  if (!targets.custom.empty()) part["custom"] = custom_json(targets.custom);
  return part;
}

Result<Bytes> make_root(const Root& root, Signers by) {
  return sign_envelope(encode(root), by);
}

Result<Bytes> make_timestamp(const Timestamp& timestamp, Signers by) {
  return sign_envelope(encode(timestamp), by);
}

Result<Bytes> make_snapshot(const Snapshot& snapshot, Signers by) {
  return sign_envelope(encode(snapshot), by);
}

Result<Bytes> make_targets(const Targets& targets, Signers by) {
  return sign_envelope(encode(targets), by);
}

Result<OnlineRoles> make_online_roles(Version targets_version, ByteSpan targets,
                                      const OnlineVersions& versions, Signers snapshot_by,
                                      Signers timestamp_by) {
  return make_online_roles({{"targets.json", describe_file(targets_version, targets)}}, versions,
                           snapshot_by, timestamp_by);
}

Result<OnlineRoles> make_online_roles(std::map<std::string, FileEntry> files,
                                      const OnlineVersions& versions, Signers snapshot_by,
                                      Signers timestamp_by) {
  const Snapshot snapshot{versions.snapshot, versions.snapshot_expires, std::move(files)};
  OnlineRoles made;
  made.snapshot = TRY(make_snapshot(snapshot, snapshot_by));
  const Timestamp timestamp{versions.timestamp, versions.timestamp_expires,
                            describe_file(versions.snapshot, made.snapshot)};
  made.timestamp = TRY(make_timestamp(timestamp, timestamp_by));
  return made;
}

std::string metadata_file_name(Role role, Version version, bool consistent_snapshot) {
  const bool numbered = role == Role::kRoot || (consistent_snapshot && role != Role::kTimestamp);
  return numbered ? fmt::format("{}.{}.json", version, to_string(role))
                  : fmt::format("{}.json", to_string(role));
}

std::string target_file_path(std::string_view target_name, std::string_view hash_hex) {
  const auto slash = target_name.rfind('/');
  const std::size_t file = slash == std::string_view::npos ? 0 : slash + 1;
  return fmt::format("{}{}.{}", target_name.substr(0, file), hash_hex, target_name.substr(file));
}

}  // namespace layby::manifest
