#include "tests/fuzz/refresh_model.h"

#include <fnmatch.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "tests/fuzz/known.h"

namespace layby::tests {

using namespace manifest;

namespace {

std::shared_ptr<const Json> read(ByteSpan document) {
  static Known<std::shared_ptr<const Json>> known;
  return known.get(std::string(as_text(document)), [&] {
    return std::make_shared<const Json>(Json::parse(as_text(document), nullptr, false));
  });
}

// By value, whatever they are called.
std::set<std::string> keys_of(const Json& keys, const Json& role) {
  std::set<std::string> values;
  for (const Json& id : role.at("keyids"))
    if (keys.contains(id.get<std::string>()))
      values.insert(keys.at(id.get<std::string>()).at("keyval").at("public").get<std::string>());
  return values;
}

bool has_signatures(const Json& document, const Json& keys, const Json& role) {
  if (!document.is_object()) return false;
  const std::string canonical = *to_canonical(document.at("signed"));
  std::set<std::string> good;
  for (const std::string& key : keys_of(keys, role)) {
    for (const Json& signature : document.at("signatures")) {
      const auto id = signature.at("keyid").get<std::string>();
      const Json& ids = role.at("keyids");
      if (std::find(ids.begin(), ids.end(), id) == ids.end() || !keys.contains(id)) continue;
      if (keys.at(id).at("keyval").at("public") != key) continue;
      const auto bytes = from_hex(signature.at("sig").get<std::string>());
      const auto value = array_from_hex<32>(key);
      if (bytes && value && crypto::verify_ed25519(*value, as_bytes(canonical), *bytes))
        good.insert(key);
    }
  }
  return good.size() >= role.at("threshold").get<std::uint64_t>();
}

// The keys and the role are those that `signer` has for it under this name.
bool is_signed(ByteSpan document, ByteSpan signer, const std::string& name, const Json& keys,
               const Json& role) {
  static Known<bool> known;
  return known.get(fmt::format("{} {} {}{}{}", document.size(), signer.size(), as_text(document),
                               as_text(signer), name),
                   [&] { return has_signatures(*read(document), keys, role); });
}

const Json& role_of(const Json& root, Role role) {
  return root.at("signed").at("roles").at(std::string(to_string(role)));
}

bool covers(const Json& delegation, const std::string& name,
            const std::optional<HardwareId>& hardware) {
  if (hardware && delegation.contains("hardwareIds")) {
    const Json& ids = delegation.at("hardwareIds");
    if (std::find(ids.begin(), ids.end(), hardware->text()) == ids.end()) return false;
  }
  if (delegation.contains("path_hash_prefixes")) {
    const std::string hash = to_hex(crypto::sha256(as_bytes(name)));
    for (const Json& prefix : delegation.at("path_hash_prefixes"))
      if (hash.starts_with(prefix.get<std::string>())) return true;
    return false;
  }
  for (const Json& path : delegation.at("paths"))
    if (::fnmatch(path.get<std::string>().c_str(), name.c_str(), FNM_PATHNAME) == 0) return true;
  return false;
}

// In order of priority, depth first, each role once.
class Walk {
 public:
  Walk(const TrustedRepository& client, const std::map<std::string, Bytes>& documents,
       const std::string& name, const std::optional<HardwareId>& hardware, UnixSeconds now)
      : client_(client), documents_(documents), name_(name), hardware_(hardware), now_(now) {}

  // Nothing: ask the next one.
  std::optional<SearchAnswer> look_into(ByteSpan document) {
    const auto read_document = read(document);
    const Json& part = read_document->at("signed");
    const Json& targets = part.at("targets");
    if (targets.contains(name_))
      return SearchAnswer{SearchAnswer::Kind::kFound,
                          targets.at(name_).at("length").get<std::uint64_t>()};
    if (!part.contains("delegations")) return std::nullopt;
    const Json& delegations = part.at("delegations");
    if (delegations.contains("succinct_roles")) return look_into_bin(document, delegations);
    for (const Json& delegation : delegations.at("roles")) {
      if (!covers(delegation, name_, hardware_)) continue;
      const auto name = delegation.at("name").get<std::string>();
      if (auto answer = visit(name, document, delegations.at("keys"), delegation)) return answer;
      if (delegation.at("terminating").get<bool>()) return SearchAnswer{SearchAnswer::Kind::kNone};
    }
    return std::nullopt;
  }

 private:
  // The last word on what is its own. Bins are two here: the first bit says which.
  std::optional<SearchAnswer> look_into_bin(ByteSpan document, const Json& delegations) {
    const Json& bins = delegations.at("succinct_roles");
    const bool second = (crypto::sha256(as_bytes(name_))[0] & 0x80) != 0;
    const std::string name = bins.at("name_prefix").get<std::string>() + (second ? "-1" : "-0");
    if (auto answer = visit(name, document, delegations.at("keys"), bins)) return answer;
    return SearchAnswer{SearchAnswer::Kind::kNone};
  }

  std::optional<SearchAnswer> visit(const std::string& role, ByteSpan delegator, const Json& keys,
                                    const Json& role_keys) {
    if (!visited_.insert(role).second) return std::nullopt;
    constexpr SearchAnswer kFailed = {SearchAnswer::Kind::kFailed};
    const auto& files = (*client_.snapshot())->files;
    const auto entry = files.find(role + ".json");
    const auto bytes = documents_.find(role);
    if (entry == files.end() || bytes == documents_.end()) return kFailed;
    if (!is_signed(bytes->second, delegator, role, keys, role_keys)) return kFailed;
    const auto document = read(bytes->second);
    const Json& part = document->at("signed");
    const bool is_named =
        is_named_by(entry->second, part.at("version").get<Version>(), bytes->second);
    const auto expires = parse_utc(part.at("expires").get<std::string>());
    if (!is_named || !expires || *expires <= now_) return kFailed;
    return look_into(bytes->second);
  }

  const TrustedRepository& client_;
  const std::map<std::string, Bytes>& documents_;
  const std::string& name_;
  const std::optional<HardwareId>& hardware_;
  const UnixSeconds now_;
  std::set<std::string> visited_;
};

}  // namespace

bool is_signed_by_root(ByteSpan document, ByteSpan root, Role role) {
  const auto signing = read(root);
  return is_signed(document, root, std::string(to_string(role)), signing->at("signed").at("keys"),
                   role_of(*signing, role));
}

bool is_key_taken_away(ByteSpan root, ByteSpan next_root, Role role) {
  const auto before = read(root), after = read(next_root);
  const auto old_keys = keys_of(before->at("signed").at("keys"), role_of(*before, role));
  const auto new_keys = keys_of(after->at("signed").at("keys"), role_of(*after, role));
  return std::ranges::any_of(old_keys,
                             [&](const std::string& key) { return !new_keys.contains(key); });
}

bool is_named_by(const FileEntry& entry, Version version, ByteSpan document) {
  return entry.proof == FileEntry::Proof::kPossible && entry.version == version &&
         (!entry.length || *entry.length == document.size()) &&
         (!entry.hashes.sha256 || *entry.hashes.sha256 == crypto::sha256(document)) &&
         (!entry.hashes.sha512 || *entry.hashes.sha512 == crypto::sha512(document));
}

SearchAnswer search_by_model(const TrustedRepository& client,
                             const std::map<std::string, Bytes>& documents, const std::string& name,
                             const std::optional<HardwareId>& hardware, UnixSeconds now) {
  Walk walk(client, documents, name, hardware, now);
  return walk.look_into(client.targets()->bytes())
      .value_or(SearchAnswer{SearchAnswer::Kind::kNone});
}

}  // namespace layby::tests
