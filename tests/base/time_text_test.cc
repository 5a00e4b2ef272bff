#include "base/time_text.h"

#include <catch2/catch.hpp>

using namespace layby;

TEST_CASE("UTC times go both ways") {
  CHECK(format_utc(0) == "1970-01-01T00:00:00Z");
  CHECK(format_utc(951'782'400) == "2000-02-29T00:00:00Z");
  CHECK(parse_utc("2000-02-29T00:00:00Z").value() == 951'782'400);
  CHECK(parse_utc("2026-11-22T06:05:04Z").value() == parse_utc("2026-11-22T06:05:03Z").value() + 1);
  CHECK(parse_utc("1969-12-31T23:59:59Z").value() == -1);
}

TEST_CASE("what is not exactly a UTC time is refused") {
  for (const char* bad : {"", "2026-11-22", "2026-11-22T06:05:04", "2026-11-22T06:05:04+00:00",
                          "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-22T24:00:00Z",
                          "2026-11-22T06:60:00Z", "2026-11-22T06:05:60Z", "2026-11-22t06:05:04Z",
                          " 026-11-22T06:05:04Z", "2026-11-22T06:05:04Z "})
    CHECK(parse_utc(bad).error().code() == ErrorCode::kBadFormat);
}
