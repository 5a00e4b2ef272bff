// JSON, strictly: the one door through which the server, the agent and the programs read and write
// it.
//
// This header only declares: a .cc file that looks into a value includes manifest/json_value.h
// too. Values that passed `parse_strict` hold objects, arrays, text in valid UTF-8, integers within
// +-(2^53-1), booleans and nulls, and nothing else. The functions here never throw; of the
// library's own members, `at`, `get` of another type and `dump` do: use the fields below.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace layby::manifest {

using Json = nlohmann::json;

// 2^53-1: what every JSON reader can hold (RFC 8259, section 6).
constexpr std::uint64_t kJsonIntegerMax = 9'007'199'254'740'991;

struct JsonLimits {
  std::uint64_t bytes_max;
  std::size_t depth_max = kJsonDepthMax;
};

// kBadJson for duplicate keys, floats, integers beyond +-(2^53-1), "-0", invalid UTF-8, a byte
// order mark, deeper nesting than allowed and trailing bytes; kEndlessData above bytes_max.
Result<Json> parse_strict(ByteSpan bytes, JsonLimits limits);

// OLPC canonical JSON, as TUF 1.0.34 (section 4.2) signs it: keys sorted by code point, no white
// space, only `"` and `\` escaped. kBadCanonicalJson for floats, integers out of range and invalid
// UTF-8, which only a value that was made by hand can hold.
Result<std::string> to_canonical(const Json& value);

// What we store and send: the canonical form with control characters escaped, which JSON demands
// and the canonical form forbids. The two are the same wherever there are none. Errors as above.
Result<std::string> to_wire(const Json& value);

// Fields of an object. kBadFormat, naming the field, when it is absent or of another type.
// `find_field` gives nullptr when `object` is none or the field is absent.
const Json* find_field(const Json& object, std::string_view key);
Result<const Json*> object_field(const Json& object, std::string_view key);
Result<const Json*> array_field(const Json& object, std::string_view key);
Result<std::string> text_field(const Json& object, std::string_view key);
Result<std::uint64_t> uint_field(const Json& object, std::string_view key,
                                 std::uint64_t max = kJsonIntegerMax);
Result<bool> bool_field(const Json& object, std::string_view key);
Result<UnixSeconds> time_field(const Json& object, std::string_view key);
Result<crypto::Digest256> digest_field(const Json& object, std::string_view key);

}  // namespace layby::manifest
