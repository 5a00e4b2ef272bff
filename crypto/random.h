// Random numbers from the operating system's generator.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace layby::crypto {

void fill_random(MutableByteSpan out);
Bytes random_bytes(std::size_t count);
// `length` characters, each uniform over `alphabet` (2 to 256 characters).
std::string random_text(std::string_view alphabet, std::size_t length);

}  // namespace layby::crypto
