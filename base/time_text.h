// UTC times as text: "2026-11-22T06:00:00Z", the one spelling of TUF (section 4.2.1) and of our
// API.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace layby {

// Years 0000 to 9999; others are our bug.
std::string format_utc(UnixSeconds time);

// Exactly YYYY-MM-DDTHH:MM:SSZ with a date that exists; kBadFormat otherwise.
Result<UnixSeconds> parse_utc(std::string_view text);

}  // namespace layby
