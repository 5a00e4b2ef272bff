#include "agent/dates.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/assert.h"

namespace layby::agent {
namespace {

// clang-format off
constexpr std::string_view kMonths[kLanguages.size()][12] = {
    {"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
     "November", "Dezember"},
    {"January", "February", "March", "April", "May", "June", "July", "August", "September",
     "October", "November", "December"},
    {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
     "octobre", "novembre", "décembre"},
    {"gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre",
     "ottobre", "novembre", "dicembre"},
    {"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september",
     "oktober", "november", "december"},
};
// clang-format on

constexpr UnixSeconds kFirst = -62'167'219'200, kLast = 253'402'300'799;

std::chrono::sys_seconds local(UnixSeconds time, UtcOffset offset) {
  const UnixSeconds shown = std::clamp(time, kFirst, kLast) + offset.value_or(0);
  return std::chrono::sys_seconds{std::chrono::seconds{std::clamp(shown, kFirst, kLast)}};
}

// The first of a month has a form of its own in some.
std::string day_text(unsigned day, Language language) {
  switch (language) {
    case Language::kGerman: return std::to_string(day) + ".";
    case Language::kEnglish: return std::to_string(day);
    case Language::kFrench: return std::to_string(day) + (day == 1 ? "er" : "");
    case Language::kItalian: return std::to_string(day) + (day == 1 ? "º" : "");
    case Language::kDutch: return std::to_string(day);
  }
  LAYBY_ASSERT(false);
}

std::string with_time(const std::string& date, const std::string& time, Language language) {
  switch (language) {
    case Language::kGerman: return date + ", " + time + " Uhr";
    case Language::kEnglish: return date + ", " + time;
    case Language::kFrench: return date + " à " + time;
    case Language::kItalian: return date + ", ore " + time;
    case Language::kDutch: return date + " om " + time + " uur";
  }
  LAYBY_ASSERT(false);
}

// Between an hour and its minutes, as CLDR's lists of units have it.
std::string_view joint_of_units(Language language) {
  switch (language) {
    case Language::kGerman:
    case Language::kEnglish: return ", ";
    case Language::kFrench: return " et ";
    case Language::kItalian: return " e ";
    case Language::kDutch: return " en ";
  }
  LAYBY_ASSERT(false);
}

}  // namespace

std::string date_text(UnixSeconds time, Language language, UtcOffset offset) {
  using namespace std::chrono;
  const year_month_day date{floor<days>(local(time, offset))};
  const auto month = static_cast<unsigned>(date.month());
  return fmt::format("{} {} {}", day_text(static_cast<unsigned>(date.day()), language),
                     kMonths[static_cast<std::size_t>(language)][month - 1],
                     static_cast<int>(date.year()));
}

std::string moment_text(UnixSeconds time, Language language, UtcOffset offset) {
  using namespace std::chrono;
  const sys_seconds point = local(time, offset);
  const hh_mm_ss clock{point - floor<days>(point)};
  const std::string text = with_time(
      date_text(time, language, offset),
      fmt::format("{:02}:{:02}", clock.hours().count(), clock.minutes().count()), language);
  return offset ? text : text + " UTC";
}

std::string duration_text(std::uint64_t seconds, Language language) {
  constexpr std::uint64_t kMinutesAlone = 90;  // up to here nobody counts in hours
  const std::uint64_t minutes = seconds / 60 + (seconds % 60 != 0 ? 1 : 0);
  if (minutes < kMinutesAlone) return counted(minutes, Unit::kMinute, language);
  const std::string hours = counted(minutes / 60, Unit::kHour, language);
  if (minutes % 60 == 0) return hours;
  return fmt::format("{}{}{}", hours, joint_of_units(language),
                     counted(minutes % 60, Unit::kMinute, language));
}

}  // namespace layby::agent
