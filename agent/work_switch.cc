// Work: the switch, which waits for a car that stands.
#include <algorithm>
#include <utility>

#include "agent/requirements.h"
#include "agent/work.h"

namespace layby::agent {
namespace {

// A switch that has to wait for the car is given up after a day, and what was begun is taken back:
// all other orders wait for it.
constexpr UnixSeconds kActivationWaitSecondsMax = kDaySeconds;
// Trusted time that moves by more than this beside the clock was corrected.
constexpr UnixSeconds kTimeLeapSeconds = 60;
// So long a head unit may take for the restart that it was asked for. Its signals may cease before.
constexpr std::int64_t kRestartMs = 120'000;

}  // namespace

Work::Hindrance Work::hindrance(const OrderRecord& order, const Facts& facts) const {
  const Requirements needs = requirements_of(order, journal_.record());
  const Verdict verdict = evaluate(facts, needs, std::nullopt, clock_.now() * 1000);
  // What has started goes on when a door is opened. Once it had to wait, everything counts again.
  const bool had_to_wait = order.timing && order.timing->had_to_wait;
  Hindrance found{.is_silent = facts.signals().empty()};
  for (const Reason& reason : verdict.reasons) {
    if (!had_to_wait && !is_of_standing(reason.condition)) continue;
    found.waits.emplace_back(to_string(reason.condition));
    found.is_known = found.is_known || reason.why == Why::kNotFulfilled;
  }
  return found;
}

MaySwitch Work::may_switch(const OrderRecord& order, std::vector<std::string>& waits) {
  return [this, &order, &waits]() -> Result<void> {
    Hindrance found = hindrance(order, vehicle_.facts());
    if (found.is_silent) return fail(ErrorCode::kUnavailable, "the car says nothing");
    // One activation at a time: a set that was silent, and is not any more, lets the other one end.
    const OrderRecord* started = started_order();
    if (started != nullptr && started != &order)
      found.waits.emplace_back(to_string(Wait::kEarlierOrder));
    if (found.waits.empty()) return {};
    waits = std::move(found.waits);
    return fail(ErrorCode::kConditionsNotMet, "the car does not stand any more");
  };
}

Result<Work::Did> Work::activate(OrderRecord& order, const Facts& facts) {
  Hindrance found = hindrance(order, facts);
  // Signals that cease are how the restart begins that was asked for.
  if ((found.is_silent || !found.waits.empty()) && !found.is_known && awaits_restart(order)) {
    due_at(clock_.now() + kVehicleRetrySeconds);
    return Did::kNothing;
  }
  // A car that says nothing may be driven: nothing is switched, and its silence has a limit.
  if (found.is_silent) {
    disarm(order);
    return step_failed(order, Error(ErrorCode::kUnavailable, "the car says nothing"));
  }
  if (!found.waits.empty()) return wait_to_activate(order, std::move(found.waits));
  if (const auto agreed = check_switch(order); !agreed) return step_failed(order, agreed.error());
  if (std::exchange(order.untried, false)) TRY_VOID(journal_.save());
  if (!armed_ms_) armed_ms_ = clock_.monotonic_ms();
  std::vector<std::string> waits;
  const auto switched =
      installer_.activate(order, journal_.record(), time_.now(), may_switch(order, waits));
  if (!switched) return switch_failed(order, switched.error(), std::move(waits));
  TRY_VOID(move(order, Event::kSwitched));
  return Did::kSomething;
}

// What somebody who came back has put off is no failure; an ECU that says the same is one.
Result<Work::Did> Work::switch_failed(OrderRecord& order, const Error& error,
                                      std::vector<std::string> waits) {
  const bool is_put_off = error.code() == ErrorCode::kConditionsNotMet && !waits.empty();
  return is_put_off ? wait_to_activate(order, std::move(waits)) : step_failed(order, error);
}

Result<Work::Did> Work::wait_to_activate(OrderRecord& order, std::vector<std::string> waits) {
  disarm(order);
  if (!order.timing) order.timing.emplace();
  if (waited_seconds(*order.timing) >= kActivationWaitSecondsMax) {
    std::string names;
    for (const std::string& name : waits) names += (names.empty() ? "" : ", ") + name;
    return step_failed(
        order, Error(ErrorCode::kConditionsNotMet, "for a day the car had to wait for " + names));
  }
  return put_off(order, std::move(waits));
}

Result<Work::Did> Work::put_off(OrderRecord& order, std::vector<std::string> waits) {
  if (!order.timing) order.timing.emplace();
  // A power cut must not make it forget that everything counts again.
  if (!std::exchange(order.timing->had_to_wait, true)) TRY_VOID(journal_.save());
  TRY_VOID(note_conditions(order, std::move(waits)));
  if (!order.undo.error) hold();
  due_at(clock_.now() + kVehicleRetrySeconds);
  return Did::kNothing;
}

bool Work::awaits_restart(const OrderRecord& order) const {
  return is_software(order) && armed_ms_ && clock_.monotonic_ms() - *armed_ms_ < kRestartMs;
}

// Since it first had to wait, by the time that has passed: one that was corrected meanwhile, as by
// the first poll after a start, counts as it should have been.
UnixSeconds Work::waited_seconds(Timing& timing) {
  const UnixSeconds now = time_.now();
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (timing.waits_since && wait_seen_ != 0) {
    const UnixSeconds leap = (now - wait_seen_) - (now_ms - wait_seen_ms_) / 1000;
    if (leap > kTimeLeapSeconds || leap < -kTimeLeapSeconds) *timing.waits_since += leap;
  }
  wait_seen_ = now;
  wait_seen_ms_ = now_ms;
  timing.waits_since = std::min(timing.waits_since.value_or(now), now);
  return now - *timing.waits_since;
}

}  // namespace layby::agent
