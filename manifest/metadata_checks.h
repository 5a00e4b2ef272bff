// Checks that the engine's two walks share: along the four roles, and down the delegations.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "manifest/metadata.h"

namespace layby::manifest {

// kFreeze from the second `expires` on.
Result<void> check_expiry(std::string_view name, UnixSeconds expires, UnixSeconds now);

// kMixAndMatch unless length and hashes are those that the parent gives, where it gives them.
Result<void> check_against_parent(const FileEntry& entry, ByteSpan bytes, std::string_view name);

// kMixAndMatch for another version than the parent gives.
Result<void> check_version_against_parent(const FileEntry& entry, Version version,
                                          std::string_view name);

}  // namespace layby::manifest
