// Result<T>: a value or an Error. Functions that can fail return it; nothing of ours throws across
// a room's edge.
//
//   Result<Bytes> body = read_file(path, kConfigBytesMax);
//   Bytes bytes = TRY(read_file(path, kConfigBytesMax));             // returns the error to our
//   caller TRY_VOID(disk.sync_dir(path)); return fail(ErrorCode::kNotFound, "no order {}", id);
#pragma once

#include <fmt/format.h>

#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace layby {

template <typename T = void>
using Result = tl::expected<T, Error>;

template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace layby

// The only macros besides LAYBY_ASSERT. A statement expression, which GCC and clang both have.
#define TRY(expression)                                                               \
  __extension__({                                                                     \
    auto layby_try_result = (expression);                                             \
    if (!layby_try_result) return ::layby::fail(std::move(layby_try_result.error())); \
    std::move(*layby_try_result);                                                     \
  })

#define TRY_VOID(expression)                                                          \
  do {                                                                                \
    auto layby_try_result = (expression);                                             \
    if (!layby_try_result) return ::layby::fail(std::move(layby_try_result.error())); \
  } while (false)

// Like TRY, with where it happened put in front of the message.
#define TRY_CONTEXT(expression, where)                                               \
  __extension__({                                                                    \
    auto layby_try_result = (expression);                                            \
    if (!layby_try_result)                                                           \
      return ::layby::fail(std::move(layby_try_result.error()).with_context(where)); \
    std::move(*layby_try_result);                                                    \
  })
