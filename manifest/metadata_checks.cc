#include "manifest/metadata_checks.h"

#include "base/time_text.h"
#include "crypto/digest.h"

namespace layby::manifest {

namespace {

Result<void> check_proof(const FileEntry& entry, std::string_view name) {
  if (entry.proof == FileEntry::Proof::kPossible) return {};
  return fail(ErrorCode::kBadFormat, "{}: its parent gives no hash of a known algorithm", name);
}

}  // namespace

std::set<PublicKey> keys_of(const Root& root, Role role) {
  std::set<PublicKey> values;
  for (const KeyId& id : root.roles.at(role).key_ids) {
    const auto key = root.keys.find(id);
    if (key != root.keys.end()) values.insert(key->second);
  }
  return values;
}

Result<void> check_given_length(const FileEntry& entry, std::uint64_t default_max, Rules rules,
                                std::string_view name) {
  TRY_VOID(check_proof(entry, name));
  const bool is_checked_first = rules == Rules::kTuf && !entry.hashes.empty();
  const std::uint64_t bytes_max = is_checked_first ? kGivenLengthMax : default_max;
  if (entry.length.value_or(0) > bytes_max)
    return fail(ErrorCode::kTooLarge, "{}: its parent says {} bytes, at most {} are taken", name,
                *entry.length, bytes_max);
  return {};
}

Result<void> check_expiry(std::string_view name, UnixSeconds expires, UnixSeconds now) {
  if (now >= expires)
    return fail(ErrorCode::kFreeze, "{}: expired at {}", name, format_utc(expires));
  return {};
}

Result<void> check_against_parent(const FileEntry& entry, ByteSpan bytes, std::string_view name) {
  TRY_VOID(check_proof(entry, name));
  if (entry.length && *entry.length != bytes.size())
    return fail(ErrorCode::kMixAndMatch, "{}: {} bytes, its parent says {}", name, bytes.size(),
                *entry.length);
  const bool same = (!entry.hashes.sha256 || *entry.hashes.sha256 == crypto::sha256(bytes)) &&
                    (!entry.hashes.sha512 || *entry.hashes.sha512 == crypto::sha512(bytes));
  if (!same) return fail(ErrorCode::kMixAndMatch, "{}: not the digest its parent says", name);
  return {};
}

Result<void> check_version_against_parent(const FileEntry& entry, Version version,
                                          std::string_view name) {
  if (entry.version != version)
    return fail(ErrorCode::kMixAndMatch, "{}: version {}, its parent says {}", name, version,
                entry.version);
  return {};
}

}  // namespace layby::manifest
