#include "server/fleet/after_number.h"

#include <charconv>

namespace layby::server {

Result<std::uint64_t> after_number(const Page& page) {
  std::uint64_t after = 0;
  if (page.after.empty()) return after;
  const char* end = page.after.data() + page.after.size();
  const auto [read, error] = std::from_chars(page.after.data(), end, after);
  if (error != std::errc{} || read != end || after >= manifest::kJsonIntegerMax)
    return fail(ErrorCode::kInvalidArgument, "after: a number from an earlier answer");
  return after;
}

}  // namespace layby::server
