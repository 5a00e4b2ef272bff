// Work: what is taken back. It is tried until it succeeds, with pauses; what keeps it stands in the
// order, and what it does not touch goes on meanwhile.
#include <algorithm>

#include "agent/work.h"

namespace layby::agent {
namespace {

// What cannot be taken back waits for a car that may be driven; whoever stops says so at once.
constexpr std::int64_t kStandRetrySeconds = 30;
// Starts that find it to be taken back still, before each further one waits: a head unit that comes
// up in the wrong slot must not restart for ever in front of its owner.
constexpr std::uint32_t kUndoStartsAtOnce = 3;

// From the end of an installation that failed until the next one may begin (P4.5): the second try
// comes with the next exit-and-lock, and what failed twice is not helped by hurry.
constexpr UnixSeconds pause_seconds(std::uint32_t attempts) {
  return attempts < 2 ? 0 : 600;
}

bool is_order_stuck(const OrderRecord& order) {
  return (order.state == State::kRollingBack || order.committed) && order.undo.error &&
         is_past_no_return(order.state) && !order.images.empty();
}

// All maps are switched as one set. Software is switched slot by slot: an ECU that does not answer,
// or cannot go back, keeps none of the others, nor the head unit.
bool are_in_each_others_way(const OrderRecord& a, const OrderRecord& b) {
  if (a.images.empty() || b.images.empty()) return false;
  const manifest::ImageKind kind = a.images.front().slot.kind();
  if (kind != b.images.front().slot.kind()) return false;
  return kind != manifest::ImageKind::kSoftware || share_slot(a, b);
}

}  // namespace

OrderRecord* Work::started_order() const {
  auto& orders = journal_.record().orders;
  const auto found = std::find_if(orders.begin(), orders.end(), [](const OrderRecord& order) {
    return is_past_no_return(order.state) && !is_order_stuck(order);
  });
  return found == orders.end() ? nullptr : &*found;
}

bool Work::waits_for_stuck(const OrderRecord& order) const {
  const auto& orders = journal_.record().orders;
  return std::any_of(orders.begin(), orders.end(), [&](const OrderRecord& stuck) {
    return is_order_stuck(stuck) && are_in_each_others_way(stuck, order);
  });
}

Result<Work::Did> Work::retry_stuck(const Facts& facts) {
  for (OrderRecord& order : journal_.record().orders) {
    if (!is_order_stuck(order)) continue;
    if (order.committed) {
      const Did did = TRY(retry_keep(order));
      if (did == Did::kSomething) return did;
      continue;
    }
    if (clock_.monotonic_ms() >= order.undo.at_ms && must_stand_still(order, facts)) {
      due_at(clock_.now() + kStandRetrySeconds);
      continue;
    }
    const Did did = TRY(roll_back(order));
    if (did == Did::kSomething) return did;
  }
  return Did::kNothing;
}

// A set that all are to keep, and one does not answer: it is asked until it does. Nothing for the
// same ECUs begins meanwhile; everything else goes on. One that has to be switched for it waits for
// a car that stands, however long.
Result<Work::Did> Work::keep_failed(OrderRecord& order, const Error& error,
                                    std::vector<std::string> waits) {
  if (error.code() == ErrorCode::kConditionsNotMet && !waits.empty()) {
    order.undo.at_ms = clock_.monotonic_ms() + (order.undo.error ? kStandRetrySeconds * 1000 : 0);
    return put_off(order, std::move(waits));
  }
  order.waiting_for.clear();
  const bool silent = error.code() == ErrorCode::kUnavailable;
  if (silent && !order.undo.error &&
      clock_.monotonic_ms() - step_began_ms_ < kVehicleSilenceMsMax) {
    due_at(clock_.now() + kVehicleRetrySeconds);
    return Did::kNothing;
  }
  return undo_failed(order, error);
}

Result<Work::Did> Work::retry_keep(OrderRecord& order) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (now_ms >= order.undo.at_ms) return confirm(order);
  due_at(clock_.now() + (order.undo.at_ms - now_ms + 999) / 1000);
  return Did::kNothing;
}

void Work::count_undo_start(OrderRecord& order) {
  if (order.state != State::kRollingBack) return;
  ++order.undo.failures;
  if (order.undo.failures <= kUndoStartsAtOnce) return;
  if (installer_.is_undone(order, journal_.record())) return;
  order.undo.at_ms =
      clock_.monotonic_ms() + backoff_seconds(order.undo.failures - kUndoStartsAtOnce) * 1000;
  if (is_software(order) && !order.untried && !order.undo.error)
    order.undo.error = Error(ErrorCode::kActivationFailed,
                             "after several starts the software is not what it was before");
}

Result<Work::Did> Work::roll_back(OrderRecord& order) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (now_ms < order.undo.at_ms) {
    due_at(clock_.now() + (order.undo.at_ms - now_ms + 999) / 1000);
    return Did::kNothing;
  }
  bool is_put_off = false;
  const auto may = [&]() -> Result<void> {
    if (!must_stand_still(order, vehicle_.facts())) return {};
    is_put_off = true;
    return fail(ErrorCode::kConditionsNotMet, "the car may be driven");
  };
  const auto back = installer_.roll_back(order, journal_.record(), time_.now(), may);
  if (is_put_off) {
    due_at(clock_.now() + kVehicleRetrySeconds);
    return Did::kNothing;
  }
  const bool silent = !back && back.error().code() == ErrorCode::kUnavailable;
  if (silent && !order.undo.error && now_ms - step_began_ms_ < kVehicleSilenceMsMax) {
    due_at(clock_.now() + kVehicleRetrySeconds);
    return Did::kNothing;
  }
  // A disk that does not take the old state back, or a boot loader that would boot the new one.
  if (!back && !installer_.is_undone(order, journal_.record()))
    return undo_failed(order, back.error());
  TRY_VOID(note_boot_error(order));
  // What lies on the disk is as before; a car that cannot take it back is for a partner.
  if (!back && !silent && !order.untried) order.attempts = std::max(order.attempts, kAttemptsMax);
  return undone(order);
}

Result<Work::Did> Work::undo_failed(OrderRecord& order, const Error& error) {
  const Error why = recordable(error);
  const bool is_news = !order.undo.error || order.undo.error->code() != why.code() ||
                       order.undo.error->message() != why.message();
  order.undo.error = why;
  const std::int64_t pause = backoff_seconds(++order.undo.failures);
  order.undo.at_ms = clock_.monotonic_ms() + pause * 1000;
  due_at(clock_.now() + pause);
  TRY_VOID(note_boot_error(order));
  if (is_news) TRY_VOID(journal_.save());
  return Did::kNothing;
}

Result<Work::Did> Work::undone(OrderRecord& order) {
  const bool again = order.attempts < kAttemptsMax;
  order.seen_open = false;  // tried again after a later exit-and-lock (P4.5)
  const bool is_whole = std::all_of(order.images.begin(), order.images.end(),
                                    [](const auto& image) { return image.complete; });
  const Event retry = is_whole ? Event::kRolledBack : Event::kDamaged;
  apply(order, again ? retry : Event::kGiveUp);
  const UnixSeconds pause = pause_seconds(order.attempts);
  if (again && is_whole && pause > 0) order.next_try = clock_.now() + pause;
  TRY_VOID(journal_.save());
  if (!again) {
    downloads_.discard(order);
    sweep();
  }
  return Did::kSomething;
}

}  // namespace layby::agent
