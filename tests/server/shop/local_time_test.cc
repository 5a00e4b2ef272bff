// Days and months of local time: month ends, leap years, clock changes, zones with half hours, the
// southern hemisphere (P1.4, P1.6, P1.8).
#include "server/shop/local_time.h"

#include <catch2/catch.hpp>

#include "base/time_text.h"
#include "server/shop/term.h"

using namespace layby;
using namespace layby::server;

namespace {

TimeZone zone(const char* name) {
  const auto found = TimeZone::find(name);
  REQUIRE(found);
  return *found;
}

UnixSeconds utc(const char* text) {
  return parse_utc(text).value();
}

std::string days(const char* zone_name, const char* from, std::int64_t count) {
  return format_utc(zone(zone_name).days_later(utc(from), count));
}

std::string months(const char* zone_name, const char* anchor, std::int64_t count) {
  return format_utc(zone(zone_name).months_later(utc(anchor), count));
}

}  // namespace

TEST_CASE("a day later is the same wall-clock time, over both clock changes of Berlin") {
  const char* berlin = "Europe/Berlin";
  // 27 March 2027, 12:00 CET, and a day of 23 hours.
  CHECK(days(berlin, "2027-03-27T11:00:00Z", 1) == "2027-03-28T10:00:00Z");
  // 30 October 2027, 12:00 CEST, and a day of 25 hours.
  CHECK(days(berlin, "2027-10-30T10:00:00Z", 1) == "2027-10-31T11:00:00Z");
  // 28 days of a download window across each of them.
  CHECK(days(berlin, "2027-03-10T08:00:00Z", 28) == "2027-04-07T07:00:00Z");
  CHECK(days(berlin, "2027-10-10T07:00:00Z", 28) == "2027-11-07T08:00:00Z");
  // 02:30 does not exist on 28 March: the first instant after the gap.
  CHECK(days(berlin, "2027-03-27T01:30:00Z", 1) == "2027-03-28T01:00:00Z");
  CHECK(days(berlin, "2027-03-29T00:30:00Z", -1) == "2027-03-28T01:00:00Z");
  // 02:30 comes twice on 31 October: the later one.
  CHECK(days(berlin, "2027-10-30T00:30:00Z", 1) == "2027-10-31T01:30:00Z");
}

TEST_CASE("months are counted from the anchor, and clamped to the month's last day") {
  const char* berlin = "Europe/Berlin";
  const char* anchor = "2027-01-31T11:00:00Z";  // 12:00 local
  CHECK(months(berlin, anchor, 1) == "2027-02-28T11:00:00Z");
  CHECK(months(berlin, anchor, 2) == "2027-03-31T10:00:00Z");
  CHECK(months(berlin, anchor, 3) == "2027-04-30T10:00:00Z");
  CHECK(months(berlin, anchor, 12) == "2028-01-31T11:00:00Z");
  CHECK(months(berlin, anchor, 13) == "2028-02-29T11:00:00Z");
  CHECK(months(berlin, "2028-02-29T11:00:00Z", 12) == "2029-02-28T11:00:00Z");
  CHECK(months(berlin, "2028-02-29T11:00:00Z", 48) == "2032-02-29T11:00:00Z");
  CHECK(months(berlin, "2027-12-31T11:00:00Z", 2) == "2028-02-29T11:00:00Z");
  CHECK(months(berlin, "2027-03-31T10:00:00Z", -1) == "2027-02-28T11:00:00Z");
  // The month's last day in the zone, not in UTC: 31 January 00:15 is 30 January in UTC.
  CHECK(months("Asia/Kolkata", "2027-01-30T18:45:00Z", 1) == "2027-02-27T18:45:00Z");
  CHECK(months("America/St_Johns", "2027-02-01T02:30:00Z", 1) == "2027-03-01T02:30:00Z");
  // A month that ends inside the gap.
  CHECK(months(berlin, "2027-02-28T01:30:00Z", 1) == "2027-03-28T01:00:00Z");
}

TEST_CASE("half hours and the southern hemisphere") {
  CHECK(days("Australia/Sydney", "2027-10-02T02:00:00Z", 1) == "2027-10-03T01:00:00Z");
  CHECK(days("Australia/Sydney", "2027-04-03T01:00:00Z", 1) == "2027-04-04T02:00:00Z");
  // Lord Howe Island moves its clocks by half an hour: 02:15 is left out, 01:45 comes twice.
  CHECK(days("Australia/Lord_Howe", "2027-10-01T15:45:00Z", 1) == "2027-10-02T15:30:00Z");
  CHECK(days("Australia/Lord_Howe", "2027-04-02T14:45:00Z", 1) == "2027-04-03T15:15:00Z");
  CHECK(days("Asia/Kathmandu", "2027-01-01T00:00:00Z", 28) == "2027-01-29T00:00:00Z");
  CHECK(months("Pacific/Auckland", "2027-08-31T00:00:00Z", 1) == "2027-09-29T23:00:00Z");
}

TEST_CASE("later is later: no step of any zone goes back, whatever the clocks do") {
  const UnixSeconds begin = utc("2027-01-01T00:30:00Z");
  for (const char* name : {"Europe/Berlin", "Europe/London", "America/New_York", "Asia/Kolkata",
                           "Australia/Lord_Howe", "America/Santiago", "Pacific/Chatham"}) {
    const TimeZone here = zone(name);
    for (UnixSeconds from = begin; from < begin + 400 * kDaySeconds; from += 3'600 * 7) {
      INFO(name << " " << format_utc(from));
      const UnixSeconds next = here.days_later(from, 1);
      const bool a_day = next - from >= kDaySeconds - 3'600 && next - from <= kDaySeconds + 3'600;
      REQUIRE(a_day);
      REQUIRE(here.days_later(from, 28) > here.days_later(from, 27));
      REQUIRE(here.months_later(from, 2) > here.months_later(from, 1));
      REQUIRE(here.days_later(from, 0) >= from);
    }
  }
}

TEST_CASE("an unknown zone is refused; a country has its first zone") {
  for (const char* wrong :
       {"", "Europe/Atlantis", "../../etc/passwd", "/etc/localtime", "Europe", "Europe/Berlin "})
    CHECK(TimeZone::find(wrong).error().code() == ErrorCode::kInvalidArgument);
  CHECK(TimeZone::of_country("DE")->name() == "Europe/Berlin");
  CHECK(TimeZone::of_country("IN")->name() == "Asia/Kolkata");
  CHECK(TimeZone::of_country("ZZ").error().code() == ErrorCode::kNotFound);
  CHECK(days("Etc/UTC", "2027-03-27T01:30:00Z", 1) == "2027-03-28T01:30:00Z");
}

TEST_CASE("the ends of a term never drift") {
  const Term month{.kind = Term::Kind::kSubscription, .days = 0, .from = Term::From::kActivation};
  const TimeZone berlin = zone("Europe/Berlin");
  const UnixSeconds anchor = utc("2027-01-31T11:00:00Z");
  std::string ends;
  for (std::uint64_t n = 1; n <= 5; ++n)
    ends += format_utc(*term_end(month, berlin, anchor, n)).substr(5, 6);
  CHECK(ends == "02-28T03-31T04-30T05-31T06-30T");
  const Term year{.kind = Term::Kind::kFixed, .days = 365, .from = Term::From::kAcceptance};
  CHECK(format_utc(*term_end(year, berlin, anchor, 2)) == "2029-01-30T11:00:00Z");
  const Term ever{.kind = Term::Kind::kUnlimited, .days = 0, .from = Term::From::kActivation};
  CHECK_FALSE(term_end(ever, berlin, anchor));
}
