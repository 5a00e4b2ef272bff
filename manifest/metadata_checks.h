// Checks that the engine's two walks share: along the four roles, and down the delegations.
#pragma once

#include <set>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "manifest/repository.h"

namespace layby::manifest {

// The longest metadata that a plain TUF client takes, where the parent gives length and hash: what
// is no such file is thrown away before it is parsed. Otherwise, and in a car, the limits of
// base/limits.h hold.
constexpr std::uint64_t kGivenLengthMax = 64 * kMiB;

// The key values of a role, each once: ids are only names, and some may name no key.
std::set<PublicKey> keys_of(const Root& root, Role role);

// Before a file is asked for (5.5.1, 5.6.1): kTooLarge if what the parent gives as its length is
// more than this client takes; `default_max` holds where it gives none.
Result<void> check_given_length(const FileEntry& entry, std::uint64_t default_max, Rules rules,
                                std::string_view name);

// kFreeze from the second `expires` on.
Result<void> check_expiry(std::string_view name, UnixSeconds expires, UnixSeconds now);

// kMixAndMatch unless length and hashes are those that the parent gives, where it gives them.
Result<void> check_against_parent(const FileEntry& entry, ByteSpan bytes, std::string_view name);

// kMixAndMatch for another version than the parent gives.
Result<void> check_version_against_parent(const FileEntry& entry, Version version,
                                          std::string_view name);

}  // namespace layby::manifest
