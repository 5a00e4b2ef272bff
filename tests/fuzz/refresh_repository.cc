#include "tests/fuzz/refresh_repository.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "base/assert.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "tests/fuzz/known.h"

namespace layby::tests {

using namespace manifest;

const std::vector<std::string> kFuzzedNames = {"maps/DE/1.tar", "maps/FR/1.tar", "functions/a",
                                               "x"};
const std::vector<HardwareId> kFuzzedHardware = {*HardwareId::parse("hu-4"),
                                                 *HardwareId::parse("hu-5")};

namespace {

constexpr UnixSeconds kHour = 3600;
constexpr std::size_t kKeys = 6;
constexpr std::size_t kOlderMax = 8;
constexpr unsigned kAllKeys = (1u << kKeys) - 1;
constexpr const char* kAlias = "alias";  // another id of the first key
const std::vector<std::string> kDelegates = {"a", "b", "c", "d", "bin-0", "bin-1"};
const std::vector<std::string> kPatterns = {
    "*",       "maps/*", "maps/*/*", "maps/DE/*", "maps/?E/1.tar", "functions/[a-m]",
    "[!m]*/a", "x",      "\\x",      "nothing",   "maps/[DE/1.tar"};
const std::vector<std::string> kPrefixes = {"", "0", "1", "8", "9", "b", "c", "f"};

struct Keys {
  std::vector<std::unique_ptr<crypto::MemorySigner>> signers;
  std::vector<PublicKey> keys;
  Keys() {
    for (std::uint8_t i = 0; i < kKeys; ++i) {
      signers.push_back(crypto::MemorySigner::from_seed({1, 2, 3, i}));
      keys.push_back(PublicKey::of(*signers.back()));
    }
  }
};

const Keys& keys() {
  static const Keys made;
  return made;
}

std::vector<const crypto::Signer*> signers_of(unsigned mask) {
  std::vector<const crypto::Signer*> signers;
  for (std::size_t i = 0; i < kKeys; ++i)
    if (mask >> i & 1) signers.push_back(keys().signers[i].get());
  return signers;
}

// Bit 7: the first key under its other id too.
RoleKeys add_keys(KeyMap& map, unsigned mask, std::uint64_t threshold) {
  RoleKeys role;
  role.threshold = threshold;
  for (std::size_t i = 0; i < kKeys; ++i) {
    if ((mask >> i & 1) == 0) continue;
    role.key_ids.push_back(keys().keys[i].id());
    map.insert_or_assign(role.key_ids.back(), keys().keys[i]);
  }
  if (mask & 0x80) {
    role.key_ids.push_back(kAlias);
    map.insert_or_assign(kAlias, keys().keys[0]);
  }
  return role;
}

std::string root_file(Version version) {
  return fmt::format("{}.root", version);
}

Json part_of(const Bytes& document) {
  static Known<Json> known;
  return known.get(std::string(as_text(document)), [&] {
    const auto envelope = Envelope::parse(document, kMiB);
    return envelope ? envelope->signed_part() : Json::object();
  });
}

// The document as these keys sign it; nothing where it has no canonical form.
std::optional<Bytes> signed_by(const Json& part, unsigned mask) {
  static Known<Bytes> known;
  const auto canonical = to_canonical(part);
  if (!canonical) return std::nullopt;
  return known.get(fmt::format("{} {}", mask & kAllKeys, *canonical),
                   [&] { return sign_canonical(*canonical, signers_of(mask)).value(); });
}

Version version_in(const Bytes& document) {
  return uint_field(part_of(document), "version").value_or(1);
}

template <typename Model>
void next_version(Model& model) {
  model.version = std::clamp<Version>(model.version + 1, 1, kJsonIntegerMax - 1);
}

}  // namespace

FuzzedRepository::FuzzedRepository(UnixSeconds now) {
  const UnixSeconds expires = now + 10 * kDaySeconds;
  root_.expires = timestamp_.expires = snapshot_.expires = targets_.expires = expires;
  unsigned mask = 1;
  for (const Role role : kRoles) {
    root_.roles[role] = add_keys(root_.keys, mask, 1);
    signers_[std::string(to_string(role))] = mask;
    mask <<= 1;
  }
  root_signers_before_ = signers_["root"];
  targets_.targets["x"].length = 1;
  for (const std::string& name : kDelegates) {
    delegated_[name].expires = expires;
    signers_[name] = 1;
  }
  publish();
  first_root_ = files_.at(root_file(1));
}

Targets& FuzzedRepository::targets_of(unsigned choice) {
  choice %= kDelegates.size() + 1;
  return choice == 0 ? targets_ : delegated_.at(kDelegates[choice - 1]);
}

void FuzzedRepository::change_keys(ProgramBytes& program) {
  const Role role = kRoles[program.take(kRoles.size())];
  const unsigned mask = program.take();
  const std::uint64_t threshold = 1 + program.take(3);
  RoleKeys changed = add_keys(root_.keys, mask, threshold);
  // A root that nobody could sign would be the end of the program's story.
  const auto can_sign = static_cast<std::uint64_t>(std::popcount(mask & kAllKeys));
  if (role == Role::kRoot && can_sign < threshold) return;
  root_.roles[role] = std::move(changed);
  signers_[std::string(to_string(role))] = mask & kAllKeys;
}

void FuzzedRepository::change_delegation(ProgramBytes& program) {
  Targets& targets = targets_of(program.take());
  const std::string& name = kDelegates[program.take(kDelegates.size())];
  if (!targets.delegations) targets.delegations.emplace();
  targets.delegations->succinct_roles.reset();
  auto& roles = targets.delegations->roles;
  std::erase_if(roles, [&](const Delegation& role) { return role.name == name; });
  const unsigned how = program.take();
  if ((how & 7) == 0) return;  // revoked
  const unsigned mask = program.take();
  Delegation role{
      name, add_keys(targets.delegations->keys, mask, 1 + program.take(2)), false, {}, {}};
  role.terminating = (how & 8) != 0;
  const unsigned what = program.take();
  if (how & 16)
    role.path_hash_prefixes = {kPrefixes[what % kPrefixes.size()], "zz"};
  else
    role.paths = {kPatterns[what % kPatterns.size()], kPatterns[what / 16 % kPatterns.size()]};
  if (how & 32) role.hardware_ids = {kFuzzedHardware[how >> 6 & 1]};
  if ((how & 0x80) == 0) signers_[name] = mask & kAllKeys;
  const std::size_t at = program.take(roles.size() + 1);
  roles.insert(roles.begin() + static_cast<std::ptrdiff_t>(at), std::move(role));
}

void FuzzedRepository::change_succinct(ProgramBytes& program) {
  Targets& targets = targets_of(program.take());
  const unsigned mask = program.take();
  targets.delegations.emplace();
  SuccinctRoles bins{add_keys(targets.delegations->keys, mask, 1), 1, "bin"};
  targets.delegations->succinct_roles = std::move(bins);
  signers_["bin-0"] = signers_["bin-1"] = mask & kAllKeys;
}

void FuzzedRepository::change_target(ProgramBytes& program) {
  Targets& targets = targets_of(program.take());
  const std::string& name = kFuzzedNames[program.take(kFuzzedNames.size())];
  if (const unsigned length = program.take())
    targets.targets[name].length = length;
  else
    targets.targets.erase(name);
}

void FuzzedRepository::change_expiry(ProgramBytes& program, UnixSeconds now) {
  const unsigned choice = program.take(3 + kDelegates.size() + 1);
  const UnixSeconds expires = std::max<UnixSeconds>(0, now + program.take_signed() * kHour);
  switch (choice) {
    case 0: root_.expires = expires; break;
    case 1: timestamp_.expires = expires; break;
    case 2: snapshot_.expires = expires; break;
    default: targets_of(choice - 3).expires = expires;
  }
}

void FuzzedRepository::change_version(ProgramBytes& program) {
  const unsigned choice = program.take(2 + kDelegates.size() + 1);
  const int by = program.take_signed();
  Version& version = choice == 0   ? timestamp_.version
                     : choice == 1 ? snapshot_.version
                                   : targets_of(choice - 2).version;
  const auto changed = static_cast<std::int64_t>(version) + by;
  version = static_cast<Version>(std::clamp<std::int64_t>(changed, 1, 1'000'000));
}

void FuzzedRepository::put(const std::string& file, const Json& part, unsigned mask) {
  auto document = signed_by(part, mask);
  if (!document) return;
  auto& older = older_[file];
  if (files_.contains(file)) older.push_back(files_.at(file));
  if (older.size() > kOlderMax) older.erase(older.begin());
  files_[file] = std::move(*document);
}

void FuzzedRepository::put_root() {
  if (*to_canonical(encode(root_)) != last_root_) {
    root_.version = roots_ + 1;
    const std::string file = root_file(++roots_);
    put(file, encode(root_), root_signers_before_ | signers_.at("root"));
    roots_clean_[file] = files_.at(file);
    root_signers_before_ = signers_.at("root");
    last_root_ = *to_canonical(encode(root_));
  }
  for (const auto& [file, document] : roots_clean_) files_[file] = document;
}

void FuzzedRepository::publish() {
  put_root();
  next_version(targets_);
  put("targets", encode(targets_), signers_.at("targets"));
  snapshot_.files.clear();
  snapshot_.files["targets.json"] = describe_file(targets_.version, files_.at("targets"));
  for (auto& [name, targets] : delegated_) {
    next_version(targets);
    put(name, encode(targets), signers_.at(name));
    snapshot_.files[name + ".json"] = describe_file(targets.version, files_.at(name));
  }
  next_version(snapshot_);
  put("snapshot", encode(snapshot_), signers_.at("snapshot"));
  timestamp_.snapshot = describe_file(snapshot_.version, files_.at("snapshot"));
  next_version(timestamp_);
  put("timestamp", encode(timestamp_), signers_.at("timestamp"));
}

const std::string& FuzzedRepository::pick(ProgramBytes& program) const {
  // The newest root is the one that a client looks for next.
  const std::size_t choice = program.take(files_.size() - roots_clean_.size() + 1);
  if (choice == 0) return files_.find(root_file(roots_))->first;
  std::size_t at = 0;
  for (const auto& [file, document] : files_)
    if (!roots_clean_.contains(file) && ++at == choice) return file;
  return files_.find(root_file(roots_))->first;
}

unsigned FuzzedRepository::mask_of(const std::string& file) const {
  const auto at = signers_.find(file);
  return at != signers_.end() ? at->second : root_signers_before_ | signers_.at("root");
}

void FuzzedRepository::put_older(ProgramBytes& program) {
  const std::string& file = pick(program);
  const auto& older = older_[file];
  if (!older.empty()) files_[file] = older[program.take(older.size())];
}

void FuzzedRepository::put_another_role(ProgramBytes& program) {
  const Bytes other = files_.at(pick(program));
  files_[pick(program)] = other;
}

void FuzzedRepository::sign_anew(ProgramBytes& program) {
  const std::string& file = pick(program);
  put(file, part_of(files_.at(file)), program.take());
}

void FuzzedRepository::double_signature(ProgramBytes& program) {
  const std::string& file = pick(program);
  auto document = parse_strict(files_.at(file), {.bytes_max = kMiB});
  if (!document || !document->contains("signatures")) return;
  Json& signatures = (*document)["signatures"];
  if (!signatures.is_array() || signatures.empty()) return;
  Json copy = signatures[program.take(signatures.size())];
  if (program.take(2) == 1) copy["keyid"] = kAlias;
  signatures.push_back(std::move(copy));
  files_[file] = to_bytes(*to_wire(*document));
}

void FuzzedRepository::remove_file(ProgramBytes& program) {
  const std::string& file = pick(program);
  files_[file].clear();  // served as absent
}

void FuzzedRepository::change_field(ProgramBytes& program) {
  const std::string file = pick(program);
  Json part = part_of(files_.at(file));
  constexpr const char* kFields[] = {"version", "expires", "_type",       "spec_version",
                                     "roles",   "keys",    "delegations", "meta"};
  const char* field = kFields[program.take(std::size(kFields))];
  switch (program.take(7)) {
    case 0: part.erase(field); break;
    case 1: part[field] = 0; break;
    case 2: part[field] = kJsonIntegerMax; break;
    case 3: part[field] = "1970-01-01T00:00:00Z"; break;
    case 4: part[field] = "targets"; break;
    case 5: part[field] = Json::object(); break;
    case 6: part["unknown"] = program.take(); break;
  }
  put(file, part, mask_of(file));
}

void FuzzedRepository::flip(ProgramBytes& program) {
  Bytes& file = files_[pick(program)];
  const std::size_t at = program.take() * 256 + program.take();
  if (!file.empty()) file[at % file.size()] ^= static_cast<std::uint8_t>(1 + program.take(255));
}

void FuzzedRepository::put_link(const std::string& file, const Json& part) {
  put(file, part, signers_.at(file));
}

void FuzzedRepository::change_entry(ProgramBytes& program) {
  const std::string file = program.take(2) == 0 ? "snapshot" : "timestamp";
  Json part = part_of(files_.at(file));
  if (!part.contains("meta") || !part["meta"].is_object() || part["meta"].empty()) return;
  Json& meta = part["meta"];
  auto entry = meta.begin();
  std::advance(entry, program.take(meta.size()));
  if (!entry->is_object()) return;
  switch (program.take(6)) {
    case 0: meta.erase(entry.key()); break;
    case 1: entry->erase("hashes"); break;
    case 2: entry->erase("length"); break;
    case 3: (*entry)["version"] = 1 + program.take(); break;
    case 4: (*entry)["hashes"] = {{"md5", "00"}}; break;
    case 5: (*entry)["length"] = program.take() * kMiB; break;
  }
  put_link(file, part);
}

// Snapshot and timestamp of what is served, with versions as they are or higher.
void FuzzedRepository::relink(ProgramBytes& program) {
  const unsigned how = program.take();
  Json snapshot = part_of(files_.at("snapshot"));
  if (!snapshot.contains("meta") || !snapshot["meta"].is_object()) return;
  if (how & 1) {
    for (auto& [name, entry] : snapshot["meta"].items()) {
      const auto at = files_.find(name.substr(0, name.find('.')));
      if (at == files_.end() || !entry.is_object()) continue;
      entry["version"] = version_in(at->second);
      if (how & 2) {
        entry.erase("hashes");
        entry.erase("length");
      } else if (entry.contains("hashes")) {
        entry["length"] = at->second.size();
        entry["hashes"] = {{"sha256", to_hex(crypto::sha256(at->second))}};
      }
    }
    if (how & 4) snapshot["version"] = version_in(files_.at("snapshot")) + 1;
    put_link("snapshot", snapshot);
  }
  Json timestamp = part_of(files_.at("timestamp"));
  const Bytes& named = files_.at("snapshot");
  timestamp["meta"] = {{"snapshot.json",
                        {{"version", version_in(named)},
                         {"length", named.size()},
                         {"hashes", {{"sha512", to_hex(crypto::sha512(named))}}}}}};
  if (how & 8) timestamp["version"] = version_in(files_.at("timestamp")) + 1;
  put_link("timestamp", timestamp);
}

const Bytes* FuzzedRepository::serve(const MetadataRequest& request) const {
  std::string file =
      request.delegated.empty() ? std::string(to_string(request.role)) : request.delegated;
  if (request.role == Role::kRoot) file = request.file.substr(0, request.file.rfind(".json"));
  const auto at = files_.find(file);
  return at == files_.end() || at->second.empty() ? nullptr : &at->second;
}

}  // namespace layby::tests
