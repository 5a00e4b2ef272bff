#include "base/clock.h"

#include <ctime>

#include "base/assert.h"

namespace layby {

// time() and clock_gettime() come from libc, so that tools which shift a process's time reach us.
UnixSeconds SystemClock::now() const {
  return std::time(nullptr);
}

// A head unit is parked asleep: what is counted must count that too, or a term lasts for years.
std::int64_t SystemClock::monotonic_ms() const {
  timespec now{};
  const int status = clock_gettime(CLOCK_BOOTTIME, &now);
  LAYBY_ASSERT(status == 0);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void ShiftedClock::advance(std::int64_t seconds) {
  LAYBY_ASSERT(seconds >= 0);
  shift_seconds_ += seconds;
}

void ManualClock::advance_ms(std::int64_t milliseconds) {
  LAYBY_ASSERT(milliseconds >= 0);
  now_ms_ += milliseconds;
}

}  // namespace layby
