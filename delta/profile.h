// What a payload is best at. Its coder says which it is.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace layby::delta {

enum class Profile : std::uint8_t {
  kSmall,  // the smallest payload that we know how to make
  kFast,   // one that is applied several times faster
};

std::string_view to_string(Profile profile);  // "small", "fast"
// kBadFormat.
Result<Profile> parse_profile(std::string_view text);

}  // namespace layby::delta
