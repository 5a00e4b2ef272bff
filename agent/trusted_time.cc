#include "agent/trusted_time.h"

#include <algorithm>

#include "agent/data_budget.h"

namespace layby::agent {
namespace {

// What a power cut may take from the count. Each poll notes a signed time: only a car without a
// connection writes for the count's sake.
constexpr UnixSeconds kCountedStepMin = 600;

// Time was ahead, and now it is right again: what was noted in that future would otherwise keep a
// month, a wait for Wi-Fi or a visit for years.
void bring_back(Record& record, UnixSeconds now) {
  if (!record.data_month.empty()) record.data_month = std::min(record.data_month, month_of(now));
  for (OrderRecord& order : record.orders) {
    order.offered_at = std::min(order.offered_at, now);
    order.since = std::min(order.since, now);
  }
  for (auto& visit : record.visits) visit.second = std::min(visit.second, now);
}

}  // namespace

TrustedTime::TrustedTime(const Clock& clock, const Record& record)
    : clock_(&clock), base_monotonic_ms_(clock.monotonic_ms()) {
  if (record.time_signed == 0) {
    base_ = clock.now();
    counted_ = 0;
    return;
  }
  const UnixSeconds off = std::max<UnixSeconds>(0, clock.now() - record.time_rtc_then);
  counted_ = std::max(record.time_signed, record.time_counted);
  base_ = std::max(record.time_signed + off, counted_);
}

UnixSeconds TrustedTime::now() const {
  return base_ + elapsed();
}

void TrustedTime::take(UnixSeconds signed_time, const manifest::TimeKeys& keys, Record& record) {
  base_ = counted_ = signed_time;
  base_monotonic_ms_ = clock_->monotonic_ms();
  record.time_signed = record.time_counted = signed_time;
  record.time_keys = keys;
  record.time_rtc_then = clock_->now();
}

void TrustedTime::advance_to(UnixSeconds signed_time, const manifest::TimeKeys& keys,
                             Record& record) {
  // A time that other keys signed, before these took their place, may have been set ahead by a
  // thief: it binds no longer, as in `accept`. But this one may be of long before; what the wall
  // clock too says has passed, has.
  const bool is_rekeyed = !manifest::still_holds(record.time_keys, keys);
  if (!is_rekeyed && signed_time <= now()) return;
  const UnixSeconds taken = std::max(signed_time, std::min(now(), clock_->now()));
  if (taken + kDaySeconds < now()) bring_back(record, taken);
  const UnixSeconds counted_before = counted();
  take(signed_time, keys, record);
  base_ = taken;
  counted_ = record.time_counted = std::max(signed_time, std::min(counted_before, taken));
  record.time_rtc_then -= taken - signed_time;  // so that the next start guesses the same
}

Result<void> TrustedTime::accept(UnixSeconds signed_time, const manifest::TimeKeys& keys,
                                 Record& record) {
  const bool holds = manifest::still_holds(record.time_keys, keys);
  const UnixSeconds taken =
      TRY(manifest::accept_signed_time(signed_time, holds ? record.time_signed : 0));
  if (taken + kDaySeconds < now()) bring_back(record, taken);
  take(taken, keys, record);
  return {};
}

TrustedTime::Noted TrustedTime::note_counted(Record& record) const {
  if (counted_ == 0) return Noted::kNo;
  const UnixSeconds counted = counted_ + elapsed();
  if (counted < record.time_counted + kCountedStepMin) return Noted::kNo;
  record.time_counted = counted;
  return Noted::kYes;
}

}  // namespace layby::agent
