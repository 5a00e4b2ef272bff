// Result<T>: a value or an Error. Functions that can fail return it; nothing of ours throws across
// a room's edge.
//
//   Result<Bytes> body = read_file(path, kConfigBytesMax);
//   Bytes bytes = TRY(read_file(path, kConfigBytesMax));  // returns the error to our caller
//   TRY_VOID(disk.sync_dir(path));
//   return fail(ErrorCode::kNotFound, "no order {}", id);
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

// The only macros besides LAYBY_ASSERT. Statement expressions, which GCC and clang both have; the
// counter gives each its own variable, so that one TRY may stand inside another.
//
// Not inside the braces of an aggregate or a list, `Car{.vin = TRY(a), .model = TRY(b)}`: when b
// fails, GCC 12 and clang 14 leave without destroying what a gave. Arguments of functions and
// constructors are fine; an aggregate gets its members one by one, or from variables.
#define TRY(expression) LAYBY_TRY_AS(LAYBY_TRY_NAME(__COUNTER__), expression)

#define TRY_VOID(expression) LAYBY_TRY_VOID_AS(LAYBY_TRY_NAME(__COUNTER__), expression)

// Like TRY, with where it happened put in front of the message.
#define TRY_CONTEXT(expression, where) \
  LAYBY_TRY_CONTEXT_AS(LAYBY_TRY_NAME(__COUNTER__), expression, where)

#define LAYBY_TRY_NAME(number) LAYBY_TRY_JOIN(layby_try_, number)
#define LAYBY_TRY_JOIN(prefix, number) prefix##number

#define LAYBY_TRY_AS(result, expression)                          \
  __extension__({                                                 \
    auto result = (expression);                                   \
    if (!result) return ::layby::fail(std::move(result.error())); \
    std::move(*result);                                           \
  })

#define LAYBY_TRY_VOID_AS(result, expression)                     \
  do {                                                            \
    auto result = (expression);                                   \
    if (!result) return ::layby::fail(std::move(result.error())); \
  } while (false)

#define LAYBY_TRY_CONTEXT_AS(result, expression, where)                               \
  __extension__({                                                                     \
    auto result = (expression);                                                       \
    if (!result) return ::layby::fail(std::move(result.error()).with_context(where)); \
    std::move(*result);                                                               \
  })
