#include "base/time_text.h"

#include <charconv>
#include <chrono>

#include "base/assert.h"

namespace layby {
namespace {

// -1 unless all characters are digits.
int digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string format_utc(UnixSeconds time) {
  using namespace std::chrono;
  const sys_seconds point{seconds{time}};
  const sys_days day = floor<days>(point);
  const year_month_day date{day};
  const hh_mm_ss clock{point - day};
  const int year = static_cast<int>(date.year());
  LAYBY_ASSERT(year >= 0 && year <= 9999);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", year,
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

Result<UnixSeconds> parse_utc(std::string_view text) {
  using namespace std::chrono;
  constexpr std::string_view kPattern = "0000-00-00T00:00:00Z";
  bool shaped = text.size() == kPattern.size();
  for (std::size_t i = 0; shaped && i < text.size(); ++i)
    if (kPattern[i] != '0') shaped = text[i] == kPattern[i];
  const auto field = [&](std::size_t at, std::size_t count) {
    return shaped ? digits(text.substr(at, count)) : -1;
  };
  const int y = field(0, 4), mo = field(5, 2), d = field(8, 2), h = field(11, 2), mi = field(14, 2),
            s = field(17, 2);
  const year_month_day date{year{y}, month{static_cast<unsigned>(mo)},
                            day{static_cast<unsigned>(d)}};
  const bool valid = y >= 0 && mo >= 0 && d >= 0 && date.ok() && h >= 0 && h < 24 && mi >= 0 &&
                     mi < 60 && s >= 0 && s < 60;
  if (!valid)
    return fail(ErrorCode::kBadFormat, "not a time of the form YYYY-MM-DDTHH:MM:SSZ: '{}'",
                text.substr(0, 40));
  return (sys_days{date}.time_since_epoch() + hours{h} + minutes{mi} + seconds{s}) / seconds{1};
}

}  // namespace layby
