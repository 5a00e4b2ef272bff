// What fuzz_refresh holds the engine against: the rules once more, as plainly as they can be said,
// from the documents themselves.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "manifest/json.h"
#include "manifest/names.h"
#include "manifest/repository.h"

namespace layby::tests {

// Whether enough different keys of the root's role signed.
bool is_signed_by_root(ByteSpan document, ByteSpan root, manifest::Role role);

// A key that could sign the role in the one root can not in the other.
bool is_key_taken_away(ByteSpan root, ByteSpan next_root, manifest::Role role);

// Length and hashes are those of the entry, where it gives them.
bool is_named_by(const manifest::FileEntry& entry, manifest::Version version, ByteSpan document);

struct SearchAnswer {
  enum class Kind { kFound, kNone, kFailed } kind;
  std::uint64_t length = 0;  // of the target: each role says another
  bool operator==(const SearchAnswer&) const = default;
};

// Where the target is described: `documents` are those of the delegated roles that the client took.
SearchAnswer search_by_model(const manifest::TrustedRepository& client,
                             const std::map<std::string, Bytes>& documents, const std::string& name,
                             const std::optional<manifest::HardwareId>& hardware, UnixSeconds now);

}  // namespace layby::tests
