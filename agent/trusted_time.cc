#include "agent/trusted_time.h"

#include <algorithm>

namespace layby::agent {
namespace {

// Two answers of one server may be this much out of order (its clock is corrected while it runs).
constexpr UnixSeconds kSignedTimeStepBackMax = 300;

}  // namespace

TrustedTime::TrustedTime(const Clock& clock, const Record& record)
    : clock_(&clock), base_monotonic_ms_(clock.monotonic_ms()) {
  const UnixSeconds off =
      record.time_signed == 0 ? 0 : std::max<UnixSeconds>(0, clock.now() - record.time_rtc_then);
  base_ = record.time_signed == 0 ? clock.now() : record.time_signed + off;
}

UnixSeconds TrustedTime::now() const {
  return base_ + (clock_->monotonic_ms() - base_monotonic_ms_) / 1000;
}

Result<void> TrustedTime::accept(UnixSeconds signed_time, Record& record) {
  if (signed_time + kSignedTimeStepBackMax < record.time_signed)
    return fail(ErrorCode::kRollback, "signed time {} is older than {}, which was signed before",
                signed_time, record.time_signed);
  const UnixSeconds taken = std::max(signed_time, record.time_signed);
  base_ = taken;
  base_monotonic_ms_ = clock_->monotonic_ms();
  record.time_signed = taken;
  record.time_rtc_then = clock_->now();
  fresh_ = true;
  return {};
}

}  // namespace layby::agent
