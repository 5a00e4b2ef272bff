// Assertions mean "our bug": they stay on in release and end the process. What the world does wrong
// is a Result.
#pragma once

namespace layby {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace layby

#define LAYBY_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::layby::assertion_failed(#expression, __FILE__, __LINE__))
