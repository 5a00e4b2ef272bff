// Work: the software slots. What the journal has as live must be what runs and what the boot loader
// keeps, before a byte is written into the other one.
#include <algorithm>

#include "agent/work.h"

namespace layby::agent {
namespace {

// Starts of the agent with an armed trial that was not booted: a boot loader that cannot count it
// down boots the old slot each time, and each time the head unit would be restarted again.
constexpr std::uint32_t kTrialStartsMax = 8;

// That journal and boot loader disagree is said at so many looks, seconds apart, before an order is
// refused for it: somebody may be writing an environment of several variables just now.
constexpr std::uint32_t kDisagreementsMax = 3;

// Something of it may lie in the spare slot.
bool has_written(const OrderRecord& order) {
  return is_software(order) && order.state != State::kOffered && !is_final(order.state);
}

bool has_live_software(const Record& record) {
  return record.slots.contains(manifest::Slot::software());
}

// Somebody has said which slot runs, or an image of it is known.
bool knows_live_slot(const Record& record) {
  return has_live_software(record) || record.factory_slot;
}

std::string text_of(const BootSlots& slots) {
  std::string text =
      fmt::format("slot {} runs, {} is kept", to_string(slots.running), to_string(slots.kept));
  if (slots.trial) text += fmt::format(", {} is on trial", to_string(*slots.trial));
  return text;
}

}  // namespace

// Of a car that has no image of what it runs: whatever that is, it is not written.
void Work::adopt_slot(const BootSlots& slots) {
  Record& record = journal_.record();
  const bool is_settled = slots.running == slots.kept && !slots.trial;
  if (!is_settled || has_live_software(record)) return;
  if (std::none_of(record.orders.begin(), record.orders.end(), has_written))
    record.factory_slot = slots.running;
}

// A trial that no order knows of any more would boot what the next one writes, half written.
Result<BootSlots> Work::slots_without_trial(BootSlots slots) {
  if (!slots.trial) return slots;
  TRY_VOID(vehicle_.end_trial());
  const auto now = TRY(vehicle_.boot_slots());
  return now.value_or(slots);
}

Result<void> Work::compare_slots() {
  const auto said = TRY(vehicle_.boot_slots());
  std::optional<BootSlots> slots;
  if (said) {
    slots = TRY(slots_without_trial(*said));
    adopt_slot(*slots);
  }
  if (!knows_live_slot(journal_.record()))
    return fail(ErrorCode::kSlotsDisagree,
                "nobody has said which software slot runs: neither `provision --running-slot` nor "
                "boot control; software waits until then (docs/faults.md)");
  if (!slots) return {};
  const std::string live = Layout::live_software_path(journal_.record());
  const auto is_live = [&](BootSlot slot) { return Layout::software_path(slot) == live; };
  if (is_live(slots->running) && is_live(slots->kept) && !slots->trial) return {};
  return fail(ErrorCode::kSlotsDisagree,
              "the journal has {} as live, and the boot loader says: {}; software waits until they "
              "agree (docs/faults.md)",
              live, text_of(*slots));
}

// The caller saves the journal.
Result<void> Work::look_at_slots() {
  Record& record = journal_.record();
  const auto agreed = compare_slots();
  record.boot_error.reset();
  if (!agreed) record.boot_error = recordable(agreed.error());
  return agreed;
}

// In a workshop nobody says what is booted: then what the last start has found counts.
Result<void> Work::check_slots() {
  const auto said = vehicle_.boot_slots();
  if (said && !*said) {
    const auto& known = journal_.record().boot_error;
    return known ? fail(*known) : compare_slots();
  }
  return look_at_slots();
}

// Before anything is written into a slot. A medium that cannot be read now may be read later, and a
// partner puts things right: nothing is lost by waiting. In a workshop nothing is refused for it.
Result<Work::Slots> Work::look_before_writing(OrderRecord& order) {
  if (!is_software(order)) return Slots::kAgree;
  const std::string wait(to_string(Wait::kBootControl));
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (now_ms < slots_at_ms_) {
    due_at(clock_.now() + (slots_at_ms_ - now_ms + 999) / 1000);
    TRY_VOID(note_waits(order, {wait}));
    return Slots::kLater;
  }
  const auto agreed = check_slots();
  if (agreed) {
    slots_failures_ = slots_disagreed_ = 0;
    if (order.waiting_for == std::vector<std::string>{wait}) order.error.reset();
    return Slots::kAgree;
  }
  order.error = recordable(agreed.error());
  const bool disagree = agreed.error().code() == ErrorCode::kSlotsDisagree;
  slots_disagreed_ = disagree ? slots_disagreed_ + 1 : 0;
  if (!serves_ && slots_disagreed_ >= kDisagreementsMax) return Slots::kNever;
  const std::int64_t pause_seconds = backoff_seconds(++slots_failures_);
  slots_at_ms_ = now_ms + pause_seconds * 1000;
  due_at(clock_.now() + pause_seconds);
  order.waiting_for.assign(1, wait);
  TRY_VOID(journal_.save());
  return Slots::kLater;
}

// The last moment before the switch: the old slot runs and is kept, with its trial or without; or
// the new one runs on trial.
Result<void> Work::check_switch(const OrderRecord& order) {
  if (!is_software(order)) return {};
  const auto said = TRY(vehicle_.boot_slots());
  if (!said) return {};
  const std::string live = Layout::live_software_path(journal_.record());
  const bool is_kept = Layout::software_path(said->kept) == live;
  const bool is_armed = said->trial && said->trial != said->running;
  if (is_kept && is_armed && order.trial_starts >= kTrialStartsMax)
    return fail(ErrorCode::kActivationFailed,
                "slot {} is on trial, and the boot loader boots {}: can it save its environment?",
                to_string(*said->trial), to_string(said->running));
  if (is_kept && (said->running == said->kept || said->trial == said->running)) return {};
  return fail(ErrorCode::kSlotsDisagree, "the journal has {} as live, and the boot loader says: {}",
              live, text_of(*said));
}

// While an order for software is taken back: why that takes so long, for `status`.
Result<void> Work::note_boot_error(const OrderRecord& order) {
  if (!is_software(order)) return {};
  const auto before = journal_.record().boot_error;
  const auto agreed = look_at_slots();
  const bool is_known = agreed ? !before : before && before->message() == agreed.error().message();
  return is_known ? Result<void>{} : journal_.save();
}

// A switch that waits must not come about by itself, with a watchdog that resets the head unit on
// the road. Nothing to do where the new slot runs already: it is what waits.
void Work::disarm(const OrderRecord& order) {
  if (!armed_ms_ || !is_software(order)) return;
  const auto said = vehicle_.boot_slots();
  if (!said) return;  // tried again at the next look
  const std::string live = Layout::live_software_path(journal_.record());
  const bool is_old = *said && Layout::software_path((*said)->running) == live;
  const bool has_to_end = is_old && (*said)->trial;
  if (!has_to_end || vehicle_.end_trial()) armed_ms_.reset();
}

// A start that finds its trial armed, with boots left, and something else running: the boot loader
// did not count it down.
void Work::count_trial_start(OrderRecord& order, const BootSlots& slots) {
  const bool is_armed = slots.trial && slots.trial_left > 0 && slots.trial != slots.running;
  if (order.state == State::kActivating && is_armed) ++order.trial_starts;
}

void Work::look_at_slots_after_start() {
  auto& orders = journal_.record().orders;
  const auto switching = std::find_if(orders.begin(), orders.end(), [](const OrderRecord& order) {
    return is_software(order) && is_past_no_return(order.state);
  });
  // Its trial is its own. What cannot be read is noted all the same.
  if (switching == orders.end()) return static_cast<void>(look_at_slots());
  const auto said = vehicle_.boot_slots();
  if (said && *said) count_trial_start(*switching, **said);
  journal_.record().boot_error.reset();
  if (!said) journal_.record().boot_error = recordable(said.error());
}

}  // namespace layby::agent
