// Idempotency keys: made here, before anything is sent, so that a repeat is harmless.
#pragma once

#include <string>

namespace layby::cli {

// The key that was given, or 128 fresh random bits.
std::string key_or_fresh(const std::string& given);

}  // namespace layby::cli
