// Programs that can make compressed bytes again just as they were, by name and version. A car says
// which it has, a payload which it needs (docs/formats.md, PAYLOAD): another version of a
// compressor may spell the same contents in other bytes.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "manifest/json.h"

namespace layby::manifest {

using ReEncoders = std::map<std::string, std::string>;  // name to version: {"zstd", "1.5.4"}

// Each of `needs` is among `available`, in just that version.
bool covers(const ReEncoders& available, const ReEncoders& needs);

// The field `key` of an object, {NAME:VERSION,…}; absent is none. kBadFormat for more than 16 of
// them, and for texts that are empty, longer than 64 bytes or not printable ASCII.
Result<ReEncoders> re_encoders_field(const Json& object, std::string_view key);

}  // namespace layby::manifest
