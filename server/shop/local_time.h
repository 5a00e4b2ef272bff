// Local time: terms and windows count in days and months of the car's time zone, where a day can
// have 23 or 25 hours and a month ends on its own last day.
//
// Rules (docs/api.md, "Local time"): N days later is the same wall-clock time N calendar days on.
// N months later is the same day of the month, or that month's last day, and always counted from
// the same anchor, so that 31 January, 28 February, 31 March follow each other. A wall time that a
// clock change leaves out is the first instant after the gap; of one that comes twice the later is
// meant, in the customer's favour.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace layby::server {

// A zone of the system's IANA database. A small value; any thread.
class TimeZone {
 public:
  static TimeZone utc();
  // kInvalidArgument for a name that the database does not have.
  static Result<TimeZone> find(std::string_view name);
  // The first zone that the database's zone.tab lists for a country (ISO 3166-1 alpha-2): for most
  // the only one, or the one with the largest city. kNotFound for a country that it does not list.
  static Result<TimeZone> of_country(std::string_view country);

  const std::string& name() const { return name_; }

  // `days` and `months` may be negative.
  UnixSeconds days_later(UnixSeconds from, std::int64_t days) const;
  UnixSeconds months_later(UnixSeconds anchor, std::int64_t months) const;

  bool operator==(const TimeZone& other) const { return name_ == other.name_; }

 private:
  TimeZone(std::string name, const void* zone) : name_(std::move(name)), zone_(zone) {}

  std::string name_;
  const void* zone_;  // date::time_zone: lives as long as the process
};

}  // namespace layby::server
