// Work: the software slots. What the journal has as live must be what runs and what the boot loader
// keeps, before a byte is written into the other one.
#include <algorithm>

#include "agent/work.h"

namespace layby::agent {
namespace {

// Starts of the agent with an armed trial that was not booted: a boot loader that cannot count it
// down boots the old slot each time, and each time the head unit would be restarted again.
constexpr std::uint32_t kTrialStartsMax = 8;

bool is_software(const OrderRecord& order) {
  return order.action == manifest::OrderAction::kInstall && !order.images.empty() &&
         order.images.front().slot.kind() == manifest::ImageKind::kSoftware;
}

// Something of it may lie in the spare slot.
bool has_written(const OrderRecord& order) {
  return is_software(order) && order.state != State::kOffered && !is_final(order.state);
}

bool has_live_software(const Record& record) {
  return record.slots.contains(manifest::Slot::software());
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
  if (!said) return {};
  const BootSlots slots = TRY(slots_without_trial(*said));
  adopt_slot(slots);
  const std::string live = Layout::live_software_path(journal_.record());
  const auto is_live = [&](BootSlot slot) { return Layout::software_path(slot) == live; };
  if (is_live(slots.running) && is_live(slots.kept) && !slots.trial) return {};
  return fail(ErrorCode::kSlotsDisagree,
              "the journal has {} as live, and the boot loader says: {}; software waits until they "
              "agree (docs/faults.md)",
              live, text_of(slots));
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
Result<void> Work::check_slots(const OrderRecord& order) {
  if (!is_software(order)) return {};
  const auto said = vehicle_.boot_slots();
  if (said && !*said) {
    const auto& known = journal_.record().boot_error;
    return known ? fail(*known) : Result<void>{};
  }
  return look_at_slots();
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
  if (is_kept && is_armed && order.resumptions >= kTrialStartsMax)
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
  if (!may_be_armed_ || !is_software(order)) return;
  const auto said = vehicle_.boot_slots();
  if (!said) return;  // tried again at the next look
  const std::string live = Layout::live_software_path(journal_.record());
  const bool is_old = *said && Layout::software_path((*said)->running) == live;
  const bool has_to_end = is_old && (*said)->trial;
  if (!has_to_end || vehicle_.end_trial()) may_be_armed_ = false;
}

void Work::look_at_slots_after_start() {
  const auto& orders = journal_.record().orders;
  const bool is_switching = std::any_of(orders.begin(), orders.end(), [](const OrderRecord& order) {
    return is_software(order) && is_past_no_return(order.state);
  });
  // Its trial is its own. What cannot be read is noted all the same.
  if (!is_switching) return static_cast<void>(look_at_slots());
  const auto said = vehicle_.boot_slots();
  journal_.record().boot_error.reset();
  if (!said) journal_.record().boot_error = recordable(said.error());
}

}  // namespace layby::agent
