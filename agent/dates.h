// Dates, times and durations as a driver reads them, in the languages of texts.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/texts.h"
#include "base/clock.h"

namespace layby::agent {

// What local time is ahead of UTC; empty: nobody knows, and UTC is shown with its name.
using UtcOffset = std::optional<std::int64_t>;  // seconds

// "2 December 2026", "1er décembre 2026". Years 0000 to 9999; others show as the nearest of them.
std::string date_text(UnixSeconds time, Language language, UtcOffset offset);
// "2 December 2026, 10:00"; " UTC" behind it where that is what it is.
std::string moment_text(UnixSeconds time, Language language, UtcOffset offset);
// What somebody waits for: "5 minutes", "1 hour 30 minutes". Begun minutes count.
std::string duration_text(std::uint64_t seconds, Language language);

}  // namespace layby::agent
