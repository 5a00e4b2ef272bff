#include "manifest/metadata.h"

#include <algorithm>

#include "base/assert.h"
#include "manifest/path_pattern.h"

namespace layby::manifest {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kRoot: return "root";
    case Role::kTimestamp: return "timestamp";
    case Role::kSnapshot: return "snapshot";
    case Role::kTargets: return "targets";
  }
  LAYBY_ASSERT(false);
}

void Root::add_key(Role role, const PublicKey& key) {
  const KeyId id = key.id();
  keys.insert_or_assign(id, key);
  auto& ids = roles[role].key_ids;
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

FileEntry describe_file(Version version, ByteSpan bytes) {
  return {version, bytes.size(), {crypto::sha256(bytes), crypto::sha512(bytes)}};
}

bool Delegation::covers(std::string_view target_name) const {
  if (!path_hash_prefixes.empty()) {
    const std::string hash = to_hex(crypto::sha256(as_bytes(target_name)));
    return std::any_of(path_hash_prefixes.begin(), path_hash_prefixes.end(),
                       [&](const std::string& prefix) { return hash.starts_with(prefix); });
  }
  return std::any_of(paths.begin(), paths.end(), [&](const std::string& pattern) {
    return path_matches(pattern, target_name);
  });
}

bool Delegation::covers(const HardwareId& hardware) const {
  return hardware_ids.empty() || std::ranges::find(hardware_ids, hardware) != hardware_ids.end();
}

std::string SuccinctRoles::role_for(std::string_view target_name) const {
  LAYBY_ASSERT(bit_length >= 1 && bit_length <= 32);
  const crypto::Digest256 hash = crypto::sha256(as_bytes(target_name));
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 4; ++i) bits = bits << 8 | hash[i];
  const unsigned digits = (bit_length + 3) / 4;  // as many as the last role's number has
  return fmt::format("{}-{:0{}x}", name_prefix, bits >> (32 - bit_length), digits);
}

}  // namespace layby::manifest
