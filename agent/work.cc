#include "agent/work.h"

#include <algorithm>
#include <utility>

#include "agent/durations.h"
#include "agent/requirements.h"
#include "base/assert.h"
#include "base/time_text.h"

namespace layby::agent {
namespace {

// A wall clock that was set back must not put a retry off for ever.
constexpr UnixSeconds kRetrySecondsMax = kDaySeconds;
// Conditions that change all the time are written into the journal once a minute, after these.
constexpr std::int64_t kConditionsSaveMs = 60'000;
constexpr std::int64_t kConditionsSavesAtOnce = 10;
// Starts that one installation survives: more, and it is the installation that ends them.
constexpr std::uint32_t kResumptionsMax = 200;
constexpr std::int64_t kSweepRetrySeconds = 60;
constexpr std::int64_t kTermRetrySeconds = 30;
constexpr std::size_t kSignalTextMax = 100;
constexpr std::size_t kReportedSignalsMax = 48;

// What the car said at the point of no return, for the report.
constexpr std::string_view kReportedSignals[] = {
    vss::kGear,
    vss::kParkingBrake,
    vss::kPower,
    vss::kDriver,
    vss::kCable,
    vss::kTractionBattery,
    vss::kLowVoltageBattery,
};

std::map<std::string, std::string> reported(const Facts& facts, const Requirements& needs) {
  std::map<std::string, std::string> values;
  const auto note = [&](const std::string& name, const Signal& signal) {
    if (values.size() < kReportedSignalsMax)
      values[printable(name, kSignalTextMax)] = printable(signal.value, kSignalTextMax);
  };
  for (const std::string_view name : kReportedSignals) {
    const auto found = facts.signals().find(std::string(name));
    if (found != facts.signals().end()) note(found->first, found->second);
  }
  for (const PackageDemand& demand : needs.package) {
    for (const manifest::SignalTest& test : demand.expression.tests()) {
      const auto found = facts.signals().find(test.signal);
      if (found != facts.signals().end()) note(found->first, found->second);
    }
  }
  for (const auto& [name, signal] : facts.signals())
    if (name.starts_with(vss::kDoorPrefix)) note(name, signal);
  return values;
}

bool needs_licence(const OrderRecord& order) {
  return order.action == manifest::OrderAction::kInstall && !order.images.empty() &&
         order.images.front().slot.kind() == manifest::ImageKind::kFunction;
}

// Boot control that cannot be read or written just now says nothing about the software.
bool is_of_boot_control(const OrderRecord& order, const Error& error) {
  if (!is_software(order) || order.state == State::kInstalling) return false;
  return error.code() == ErrorCode::kIo || error.code() == ErrorCode::kNotFound ||
         error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kDiskFull ||
         error.code() == ErrorCode::kTooLarge;
}

bool is_of_network(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kTimeout ||
         code == ErrorCode::kSlowRetrieval || code == ErrorCode::kUnauthenticated;
}

// A term that is over needs no lock and no unplugging: whoever never locks would keep it for ever.
bool is_powered_off(const Verdict& verdict) {
  return std::none_of(verdict.reasons.begin(), verdict.reasons.end(), [](const Reason& reason) {
    return reason.condition == Condition::kGear || reason.condition == Condition::kPower;
  });
}

enum class Motion { kStands, kDriven, kUnknown };

// Gear and power say it; without them, or against both of them, so does the speed.
Motion motion_of(const Facts& facts, std::int64_t now_ms) {
  const auto gear = facts.integer(vss::kGear, now_ms);
  const auto power = facts.text(vss::kPower, now_ms);
  const auto speed = facts.thousandths(vss::kSpeed, now_ms);
  const auto* in_gear = std::get_if<std::int64_t>(&gear);
  if (in_gear != nullptr && !is_plausible_gear(*in_gear)) in_gear = nullptr;
  const auto* state = std::get_if<std::string>(&power);
  const auto* moving = std::get_if<std::int64_t>(&speed);
  const bool is_on = state != nullptr && (*state == "ACC" || *state == "ON" || *state == "START");
  const bool is_off = state != nullptr && (*state == "OFF" || *state == "LOCK");
  if ((in_gear != nullptr && *in_gear != kGearPark) || is_on) return Motion::kDriven;
  const bool is_known = in_gear != nullptr || is_off;
  if (moving == nullptr || *moving == 0) return is_known ? Motion::kStands : Motion::kUnknown;
  // In P, or off, and moving: one of them is wrong.
  return is_known ? Motion::kUnknown : Motion::kDriven;
}

// What the step that comes now does, the driver would notice: a map that is loaded anew, a head
// unit that boots, a function that goes off.
bool shows_to_driver(const OrderRecord& order) {
  if (order.state == State::kRollingBack) return true;
  return order.state == State::kConfirming && !order.images.empty() &&
         order.images.front().slot.kind() == manifest::ImageKind::kMap;
}

}  // namespace

// ---- moving -------------------------------------------------------------------------------------

void Work::apply(OrderRecord& order, Event event) {
  const auto next = next_state(order.state, event);
  LAYBY_ASSERT(next.has_value());
  order.state = *next;
  order.since = time_.now();
  order.waiting_for.clear();
  order.next_try = 0;
  order.latch = {};
  order.undo = {};
  step_began_ms_ = clock_.monotonic_ms();
  // Nobody has looked whether it is driven in the long step before.
  if (is_past_no_return(order.state)) motion_known_ms_ = step_began_ms_;
}

Result<void> Work::move(OrderRecord& order, Event event) {
  apply(order, event);
  conditions_kept_ = true;
  return journal_.save();
}

Result<void> Work::note_waits(OrderRecord& order, std::vector<std::string> waits) {
  if (order.waiting_for == waits) return {};
  order.waiting_for = std::move(waits);
  return journal_.save();
}

// Worked out anew after a start, so that the journal, and `status` with it, may be a little behind
// where a signal wavers: a flash memory does not take a record a second.
Result<void> Work::note_conditions(OrderRecord& order, std::vector<std::string> waits) {
  if (order.waiting_for != waits) {
    order.waiting_for = std::move(waits);
    conditions_kept_ = false;
  }
  return keep_conditions();
}

Result<void> Work::keep_soon() {
  conditions_kept_ = false;
  return keep_conditions();
}

Result<void> Work::keep_conditions() {
  if (conditions_kept_) return {};
  const std::int64_t now_ms = clock_.monotonic_ms();
  conditions_due_ms_ = std::max(conditions_due_ms_, now_ms);
  const std::int64_t ahead_ms = conditions_due_ms_ - now_ms;
  if (ahead_ms >= kConditionsSavesAtOnce * kConditionsSaveMs) {
    due_at(clock_.now() + kConditionsSaveMs / 1000);
    return {};
  }
  conditions_due_ms_ += kConditionsSaveMs;
  conditions_kept_ = true;
  return journal_.save();
}

void Work::sweep() {
  const bool all = installer_.sweep(journal_.record()) == Installer::Swept::kAll;
  sweep_at_ms_ = all ? 0 : clock_.monotonic_ms() + kSweepRetrySeconds * 1000;
}

void Work::tidy() {
  if (sweep_at_ms_ != 0 && clock_.monotonic_ms() >= sweep_at_ms_) sweep();
  if (sweep_at_ms_ != 0) due_at(clock_.now() + kSweepRetrySeconds);
}

void Work::due_at(UnixSeconds time) {
  if (next_due_ == 0 || time < next_due_) next_due_ = time;
}

Result<void> Work::resume() {
  for (OrderRecord& order : journal_.record().orders) {
    if (!is_past_no_return(order.state)) continue;
    ++order.resumptions;
    const bool too_many = order.resumptions > kResumptionsMax && !order.committed;
    if (too_many && next_state(order.state, Event::kStepFailed)) {
      order.error = Error(ErrorCode::kInstallFailed, "the installation never came to its end");
      apply(order, Event::kStepFailed);
    }
    count_undo_start(order);
  }
  hold();
  motion_known_ms_ = clock_.monotonic_ms();
  armed_ms_ = motion_known_ms_;  // by a run before this one, perhaps
  licences_.catch_up(journal_.record());
  look_at_slots_after_start();
  // Always: after a sync that failed, what a start reads may only be in the medium's cache. Nothing
  // is done on it before it is written anew.
  TRY_VOID(journal_.save());
  sweep();
  return {};
}

void Work::hold() {
  step_began_ms_ = began_ms_ = clock_.monotonic_ms();
}

// ---- past the point of no return ----------------------------------------------------------------

Result<Work::Did> Work::advance_started(const Facts& facts) {
  if (TRY(retry_stuck(facts)) == Did::kSomething) return Did::kSomething;
  OrderRecord* started = started_order();
  if (started == nullptr) return Did::kNothing;
  OrderRecord& order = *started;
  Record& record = journal_.record();
  if (must_stand_still(order, facts)) {
    due_at(clock_.now() + kVehicleRetrySeconds);
    return Did::kNothing;
  }
  if (is_overdue(order)) {
    order.error = Error(ErrorCode::kInstallFailed, "the activation was not over in ten minutes");
    TRY_VOID(move(order, Event::kStepFailed));
    return Did::kSomething;
  }
  switch (order.state) {
    case State::kInstalling: {
      const auto prepared = installer_.prepare(order, record);
      if (!prepared) return step_failed(order, prepared.error());
      TRY_VOID(move(order, Event::kPrepared));
      return Did::kSomething;
    }
    case State::kActivating: return activate(order, facts);
    case State::kConfirming: return confirm(order);
    case State::kRollingBack: return roll_back(order);
    case State::kIdle:
    case State::kOffered:
    case State::kDownloading:
    case State::kDownloaded:
    case State::kWaiting:
    case State::kFailed:
    case State::kActive:
    case State::kDeactivated:
    case State::kRefused: break;
  }
  LAYBY_ASSERT(false);
}

Result<Work::Did> Work::confirm(OrderRecord& order) {
  std::vector<std::string> waits;
  const MaySwitch may = may_switch(order, waits);
  if (is_for_secondaries(order) && !order.committed) {
    if (const auto well = installer_.check_set(order, may); !well)
      return switch_failed(order, well.error(), std::move(waits));
    // The one moment that decides for all of them; what follows is only carried out.
    order.committed = true;
    TRY_VOID(journal_.save());
  }
  // None is told before the copy has it too: who lost both records would take back half a set.
  if (order.committed && !journal_.copied()) TRY_VOID(journal_.save());
  if (order.committed && !journal_.copied())
    return keep_failed(order, journal_.copied().error(), {});
  Record& record = journal_.record();
  const auto event = installer_.confirm(order, record, may);
  if (!event)
    return order.committed ? keep_failed(order, event.error(), std::move(waits))
                           : step_failed(order, event.error());
  order.error.reset();
  if (const auto all = installer_.check_all_there(order); !all)
    order.error = recordable(all.error());
  const bool is_whole = order.resumptions == 0 && order.timing && !order.timing->had_to_wait;
  note_end(order, record, time_.now(), is_whole ? Measure::kWhole : Measure::kInterrupted);
  TRY_VOID(move(order, *event));
  downloads_.discard(order);
  sweep();
  return Did::kSomething;
}

// Whoever drives it comes first. A car whose signals are gone may be driven, too, but what has
// started must come to its end there as well: after a while it counts as one that stands.
bool Work::must_stand_still(OrderRecord& order, const Facts& facts) {
  const Motion motion = motion_of(facts, clock_.now() * 1000);
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (motion != Motion::kUnknown) motion_known_ms_ = now_ms;
  if (!shows_to_driver(order) || motion == Motion::kStands) return false;
  if (order.timing) order.timing->had_to_wait = true;
  if (motion == Motion::kUnknown) return now_ms - motion_known_ms_ < kVehicleSilenceMsMax;
  hold();  // neither the car's silence nor the time is counted while it drives
  return true;
}

Result<void> Work::check_stands() const {
  if (motion_of(vehicle_.facts(), clock_.now() * 1000) == Motion::kStands) return {};
  return fail(ErrorCode::kConditionsNotMet, "the car may be driven");
}

// A function that is not switched in time goes back (P4.6); larger things take what they take.
bool Work::is_overdue(const OrderRecord& order) const {
  const bool is_function =
      order.images.empty() || order.images.front().slot.kind() == manifest::ImageKind::kFunction;
  const bool is_switched = order.state != State::kInstalling && order.state != State::kActivating;
  return is_function && !is_switched &&
         clock_.monotonic_ms() - began_ms_ >= kFunctionSecondsMax * 1000;
}

Result<Work::Did> Work::step_failed(OrderRecord& order, const Error& error) {
  const bool silent = error.code() == ErrorCode::kUnavailable || is_of_boot_control(order, error);
  if (silent && clock_.monotonic_ms() - step_began_ms_ < kVehicleSilenceMsMax) {
    due_at(clock_.now() + kVehicleRetrySeconds);
    return Did::kNothing;
  }
  order.error = recordable(error);
  if (order.state == State::kInstalling) installer_.forget_damaged(order, journal_.record());
  TRY_VOID(move(order, Event::kStepFailed));
  return Did::kSomething;
}

// ---- waiting for the car ------------------------------------------------------------------------

Result<Work::Did> Work::look_at_car(const Facts& facts) {
  TRY_VOID(keep_conditions());
  const std::int64_t now_ms = clock_.now() * 1000;
  const bool is_locked = is_left_and_locked(facts, now_ms);
  const bool entered = is_entered(facts, now_ms);
  if (entered) locked_since_ = 0;
  if (is_locked && locked_since_ == 0) locked_since_ = time_.now();
  for (OrderRecord& order : journal_.record().orders) {
    if (order.state == State::kDownloaded && entered && !order.seen_open) {
      order.seen_open = true;
      TRY_VOID(journal_.save());
    }
    const Did did = TRY(look_at_order(order, facts, is_locked));
    if (did == Did::kSomething) return did;
  }
  return Did::kNothing;
}

bool Work::waits_for_licence(const OrderRecord& order) const {
  return needs_licence(order) &&
         (order.licence.empty() || installer_.is_lapsed(order, journal_.record(), time_.now()));
}

Result<Work::Did> Work::look_at_order(OrderRecord& order, const Facts& facts, bool is_locked) {
  if (order.state == State::kDownloaded) {
    std::vector<std::string> waits;
    if (waits_for_licence(order)) waits.emplace_back(to_string(Wait::kLicence));
    if (pauses(order)) waits.emplace_back(to_string(Wait::kRetryPause));
    if (!(order.seen_open && is_locked)) {
      waits.emplace_back(to_string(Wait::kExitAndLock));
      // What else is missing is named from the beginning (P4.3), not only once the car is locked.
      const Requirements needs = requirements_of(order, journal_.record());
      const Verdict verdict =
          evaluate(facts, needs, std::nullopt, clock_.now() * 1000, order.latch);
      order.latch = verdict.latch;
      for (std::string& name : names_of(verdict.reasons, needs)) waits.push_back(std::move(name));
    }
    if (!waits.empty()) {
      TRY_VOID(note_conditions(order, std::move(waits)));
      return Did::kNothing;
    }
    TRY_VOID(move(order, Event::kArm));
    return Did::kSomething;
  }
  // One at a time: what has started may have to wait for a car that does not answer.
  if (order.state != State::kWaiting || started_order() != nullptr) return Did::kNothing;
  if (waits_for_stuck(order)) {
    TRY_VOID(note_waits(order, {std::string(to_string(Wait::kEarlierOrder))}));
    return Did::kNothing;
  }
  if (waits_for_licence(order)) {
    TRY_VOID(note_waits(order, {std::string(to_string(Wait::kLicence))}));
    return Did::kNothing;
  }
  const Requirements needs = requirements_of(order, journal_.record());
  const Verdict verdict = evaluate(facts, needs, owner_time(facts, journal_.record().owner_time),
                                   clock_.now() * 1000, order.latch);
  order.latch = verdict.latch;
  if (verdict.answer == Verdict::Answer::kYes) return begin(order);
  if (verdict.ask_again_at != 0) due_at(verdict.ask_again_at);
  TRY_VOID(note_conditions(order, names_of(verdict.reasons, needs)));
  return Did::kNothing;
}

// A wall clock that was set back must not put the next try off for ever.
bool Work::pauses(const OrderRecord& order) {
  const bool is_paused =
      order.next_try > clock_.now() && order.next_try <= clock_.now() + kRetrySecondsMax;
  if (is_paused) due_at(order.next_try);
  return is_paused;
}

// An ECU takes nothing without a time of its own and a word of the Director that holds: it may have
// started anew, or the car may have been without a connection for a month. Only news mend that.
bool Work::have_word(const OrderRecord& order) {
  if (!is_for_secondaries(order)) return true;
  const std::uint64_t visits = installer_.visits_with_news();
  const auto asked = wordless_.find(order.id);
  if (asked != wordless_.end() && asked->second == visits) return false;
  wordless_.erase(order.id);
  if (installer_.have_word(order)) return true;
  wordless_.emplace(order.id, visits);
  return false;
}

Result<Work::Did> Work::begin(OrderRecord& order) {
  if (!have_word(order)) {
    TRY_VOID(note_conditions(order, {std::string(to_string(Wait::kConnection))}));
    return Did::kNothing;
  }
  auto checked = installer_.check(order, journal_.record());
  if (checked) {
    switch (TRY(look_before_writing(order))) {
      case Slots::kAgree: break;
      case Slots::kLater: return Did::kNothing;
      case Slots::kNever: checked = fail(*order.error); break;
    }
  }
  if (!checked) {
    order.error = recordable(checked.error());
    if (order.error->code() == ErrorCode::kImageRollback)
      note_attack(journal_.record(), *order.error);
    TRY_VOID(move(order, Event::kRefuse));
    return Did::kSomething;
  }
  // The last moment: the car may have changed while the rest was looked at.
  const Facts& now = vehicle_.facts();
  const Requirements needs = requirements_of(order, journal_.record());
  const Verdict verdict = evaluate(now, needs, owner_time(now, journal_.record().owner_time),
                                   clock_.now() * 1000, order.latch);
  if (verdict.answer != Verdict::Answer::kYes) return Did::kNothing;
  ++order.attempts;
  order.resumptions = order.trial_starts = 0;
  order.untried = is_software(order);
  order.committed = false;
  order.conditions = reported(now, needs);
  note_begin(order, journal_.record(), locked_since_, time_.now());
  began_ms_ = clock_.monotonic_ms();
  TRY_VOID(move(order, Event::kBegin));
  return Did::kSomething;
}

Result<Work::Did> Work::keep_terms(const Facts& facts) {
  Record& record = journal_.record();
  for (auto& [id, function] : record.functions) {
    const auto slot = record.slots.find(manifest::Slot::function(id));
    if (slot == record.slots.end()) continue;  // never was installed as a whole
    const LicenceVerdict verdict = licences_.judge_or_restore(id, record, time_.now());
    const bool wanted = verdict.state == LicenceVerdict::State::kActive;
    const UnixSeconds until = verdict.until.value_or(0);
    const bool is_told = !wanted || function.told_until == until;
    if (wanted == function.on && is_told) continue;
    if (const std::int64_t ahead_ms = next_term_ms_[id] - clock_.monotonic_ms(); ahead_ms > 0) {
      due_at(clock_.now() + (ahead_ms + 999) / 1000);
      continue;
    }
    // What a failed installation brought is not switched on behind its back (P4.5).
    if (wanted && !function.on && function.newest.counter != function.proven_counter) continue;
    const Verdict verdict_now = evaluate(facts, {}, std::nullopt, clock_.now() * 1000);
    if (wanted ? verdict_now.answer != Verdict::Answer::kYes : !is_powered_off(verdict_now))
      continue;
    auto done = wanted ? installer_.check_function(id, record) : Result<void>{};
    if (done)
      done = wanted ? vehicle_.activate_function(id.text(), layout_.absolute(slot->second.path),
                                                 verdict.until ? format_utc(*verdict.until) : "")
                    : vehicle_.deactivate_function(id.text());
    if (!done) {
      next_term_ms_[id] = clock_.monotonic_ms() + kTermRetrySeconds * 1000;
      due_at(clock_.now() + kTermRetrySeconds);
      continue;
    }
    function.on = wanted;
    if (wanted) {
      function.told_until = until;
      function.proven_counter = function.newest.counter;
    }
    TRY_VOID(journal_.save());
    return Did::kSomething;
  }
  return Did::kNothing;
}

// ---- on the way into the car --------------------------------------------------------------------

bool Work::is_blocked(const OrderRecord& order) const {
  for (const OrderRecord& other : journal_.record().orders)
    if (&other != &order && is_past_no_return(other.state) && share_slot(other, order)) return true;
  for (const OrderRecord& earlier : journal_.record().orders) {
    if (&earlier == &order) return false;
    if (!is_final(earlier.state) && share_slot(earlier, order)) return true;
  }
  return false;
}

// A newer licence of a function that runs takes the older one's place at once; one that comes
// before its function waits for it; what never was installed need not be switched off.
Result<Work::Did> Work::take_licence(OrderRecord& order) {
  Record& record = journal_.record();
  const bool is_renewal = order.action == manifest::OrderAction::kLicence;
  const auto checked = installer_.check(order, record);
  const auto runs = checked ? installer_.function_runs(order, record)
                            : Result<Installer::Runs>(tl::unexpected(checked.error()));
  if (!runs && runs.error().code() == ErrorCode::kNotFound) {
    if (is_renewal) {
      TRY_VOID(note_waits(order, {std::string(to_string(Wait::kFunction))}));
      return Did::kNothing;
    }
    if (!checked) {
      TRY_VOID(move(order, Event::kNothingOn));
      return Did::kSomething;
    }
  } else if (!runs) {
    return settle(order, {.kind = DownloadOutcome::Kind::kRefuse, .error = runs.error()});
  }
  if (!is_renewal || *runs == Installer::Runs::kNo)
    return settle(order, {.kind = DownloadOutcome::Kind::kComplete});
  const OrderRecord* started = started_order();
  if (started != nullptr &&
      installer_.function_in(*started, record) == installer_.function_in(order, record))
    return Did::kNothing;  // what it does to this function comes first
  TRY_VOID(installer_.renew(order, record));
  order.error.reset();
  TRY_VOID(move(order, Event::kRenewed));
  return Did::kSomething;
}

Result<Work::Did> Work::take_licences() {
  for (OrderRecord& order : journal_.record().orders) {
    if (order.state != State::kOffered || order.action == manifest::OrderAction::kInstall) continue;
    const Did did = TRY(take_licence(order));
    if (did == Did::kSomething) return did;
  }
  return Did::kNothing;
}

Result<void> Work::wait_for(OrderRecord& order, const Bar& bar) {
  // What ends by itself is looked at again then, by the wall clock as far as it goes.
  if (bar.ends != 0) due_at(clock_.now() + std::max<UnixSeconds>(1, bar.ends - time_.now()));
  return note_waits(order, {std::string(to_string(bar.wait))});
}

Result<bool> Work::is_served(OrderRecord& order) {
  if (serves_) return serves_(order);
  if (order.delivery == manifest::Delivery::kOverTheAir) return true;
  TRY_VOID(note_waits(order, {std::string(to_string(Wait::kPartnerPackage))}));
  return false;
}

Result<Work::Did> Work::download(const Connection& connection) {
  const Meter meter = connection.is_metered ? Meter::kCounted : Meter::kFree;
  for (OrderRecord& order : journal_.record().orders) {
    const bool offered = order.state == State::kOffered;
    if (!offered && order.state != State::kDownloading) continue;
    if (order.action != manifest::OrderAction::kInstall) continue;
    if (!TRY(is_served(order))) continue;
    if (offered) {
      const auto checked = installer_.check(order, journal_.record());
      if (!checked && checked.error().code() == ErrorCode::kImageRollback)
        note_attack(journal_.record(), checked.error());
      if (!checked)
        return settle(order, {.kind = DownloadOutcome::Kind::kRefuse, .error = checked.error()});
    }
    if (is_blocked(order)) {
      TRY_VOID(note_waits(order, {std::string(to_string(Wait::kEarlierOrder))}));
      continue;
    }
    const auto bar =
        bar_to_payload(connection, network_, order, time_.now(), budget_.left(journal_.record()));
    if (bar && !offered && Downloads::needs_bytes(order)) {
      TRY_VOID(wait_for(order, *bar));
      continue;
    }
    if (order.next_try > clock_.now() && order.next_try <= clock_.now() + kRetrySecondsMax) {
      due_at(order.next_try);
      continue;
    }
    if (!bar) {
      // Before anything of it is written; what is under way may have changed sides meanwhile.
      switch (TRY(look_before_writing(order))) {
        case Slots::kAgree: break;
        case Slots::kLater: continue;
        case Slots::kNever:
          return settle(order, {.kind = DownloadOutcome::Kind::kRefuse, .error = order.error});
      }
    }
    const auto fetching = bar ? Downloads::Fetching::kNotYet : Downloads::Fetching::kMayBegin;
    const auto prepared = offered ? downloads_.prepare(order, fetching) : DownloadOutcome{};
    if (bar && prepared.kind == DownloadOutcome::Kind::kFetch) {
      TRY_VOID(wait_for(order, *bar));
      continue;
    }
    order.waiting_for.clear();
    return settle(order, offered ? prepared : downloads_.step(order, meter));
  }
  return Did::kNothing;
}

Result<Work::Did> Work::settle(OrderRecord& order, const DownloadOutcome& outcome) {
  if (outcome.error) order.error = recordable(*outcome.error);
  switch (outcome.kind) {
    case DownloadOutcome::Kind::kMore: return Did::kSomething;
    case DownloadOutcome::Kind::kInterrupted:
      order.error.reset();
      TRY_VOID(journal_.save());
      return Did::kSomething;
    case DownloadOutcome::Kind::kFetch: TRY_VOID(move(order, Event::kFetch)); break;
    case DownloadOutcome::Kind::kComplete:
      order.error.reset();
      order.seen_open = false;
      TRY_VOID(
          move(order, order.state == State::kOffered ? Event::kNothingToGet : Event::kFetched));
      break;
    case DownloadOutcome::Kind::kLater:
    case DownloadOutcome::Kind::kNoSpace:
      order.next_try = clock_.now() + outcome.retry_seconds;
      if (outcome.kind == DownloadOutcome::Kind::kNoSpace) {
        order.waiting_for.assign(1, std::string(to_string(Wait::kSpace)));
      } else if (is_of_network(outcome.error->code())) {
        order.waiting_for.assign(1, std::string(to_string(Wait::kConnection)));
      }
      TRY_VOID(journal_.save());
      break;
    case DownloadOutcome::Kind::kGiveUp:
    case DownloadOutcome::Kind::kRefuse:
      TRY_VOID(move(
          order, outcome.kind == DownloadOutcome::Kind::kRefuse ? Event::kRefuse : Event::kGiveUp));
      downloads_.discard(order);
      break;
  }
  return Did::kSomething;
}

}  // namespace layby::agent
