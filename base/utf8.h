// UTF-8 (RFC 3629, section 4).
#pragma once

#include <cstddef>
#include <string_view>

namespace layby {

// The length of the character that begins at `at`, 1 to 4 bytes; 0 if none does: neither overlong
// forms nor surrogates are characters.
std::size_t utf8_length(std::string_view text, std::size_t at);

}  // namespace layby
