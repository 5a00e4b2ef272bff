#include "manifest/metadata.h"

#include <algorithm>

#include "base/assert.h"
#include "base/utf8.h"

namespace layby::manifest {
namespace {

// One path segment against one pattern segment: `*` any run, `?` any one character, which in UTF-8
// may be several bytes. What is no UTF-8 is taken byte by byte.
bool segment_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      t += std::max<std::size_t>(utf8_length(text, t), 1);
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool path_matches(std::string_view pattern, std::string_view text) {
  for (;;) {
    const auto pattern_end = pattern.find('/');
    const auto text_end = text.find('/');
    if (!segment_matches(pattern.substr(0, pattern_end), text.substr(0, text_end))) return false;
    const bool pattern_over = pattern_end == std::string_view::npos;
    const bool text_over = text_end == std::string_view::npos;
    if (pattern_over || text_over) return pattern_over && text_over;
    pattern.remove_prefix(pattern_end + 1);
    text.remove_prefix(text_end + 1);
  }
}

}  // namespace

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

std::string SuccinctRoles::role_for(std::string_view target_name) const {
  LAYBY_ASSERT(bit_length >= 1 && bit_length <= 32);
  const crypto::Digest256 hash = crypto::sha256(as_bytes(target_name));
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 4; ++i) bits = bits << 8 | hash[i];
  const unsigned digits = (bit_length + 3) / 4;  // as many as the last role's number has
  return fmt::format("{}-{:0{}x}", name_prefix, bits >> (32 - bit_length), digits);
}

}  // namespace layby::manifest
