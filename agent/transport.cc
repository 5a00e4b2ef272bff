#include "agent/transport.h"

#include <charconv>

namespace layby::agent {

std::optional<std::int64_t> HttpResponse::retry_after_seconds() const {
  const std::string text = header("retry-after");
  std::int64_t seconds = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || at != text.data() + text.size() || seconds < 0) return std::nullopt;
  return seconds;
}

}  // namespace layby::agent
