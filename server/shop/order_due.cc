#include "server/shop/order_due.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/shop/order_change.h"
#include "server/shop/order_licence.h"
#include "server/shop/order_message.h"
#include "server/shop/order_money.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::int64_t kReminderDays[] = {7, 2, 1};
constexpr int kSettledAtOnceMax = 1000;

// Keeps the earliest; of the same second the first in DueKind.
class Earliest {
 public:
  void add(UnixSeconds at, DueKind kind) {
    if (!due_ || at < due_->at || (at == due_->at && kind < due_->kind)) due_ = Due{at, kind};
  }
  // 7, 2 and 1 days before `end`, unless they were noted already.
  void add_reminders(const Order& order, UnixSeconds end, DueKind kind) {
    for (const std::int64_t days : kReminderDays) {
      const UnixSeconds at = order.zone.days_later(end, -days);
      if (at > order.noted) add(at, kind);
    }
  }
  std::optional<Due> get() const { return due_; }

 private:
  std::optional<Due> due_;
};

std::optional<Due> due_while_waiting(const Order& order) {
  if (order.held) return std::nullopt;
  Earliest earliest;
  earliest.add_reminders(order, order.download_by, DueKind::kWindowReminder);
  earliest.add(order.download_by, DueKind::kWindowEnd);
  if (const auto end = contract_end(order)) earliest.add(*end, DueKind::kTermOver);
  return earliest.get();
}

std::optional<Due> due_before_activation(const Order& order) {
  if (!order.term || !order.term->ends()) return std::nullopt;
  if (const auto end = contract_end(order)) {
    if (order.held) return std::nullopt;
    const auto grace = static_cast<std::int64_t>(order.term->grace_days);
    return Due{order.zone.days_later(*end, grace + kSilenceDays), DueKind::kLapsed};
  }
  if (!order.active_until) return std::nullopt;
  return Due{order.licence_issued + (*order.active_until - order.licence_issued) / 2,
             DueKind::kLicenceRefresh};
}

bool renews_by_itself(const Order& order) {
  return order.renewable && order.auto_renew && order.periods.size() < kPeriodsMax;
}

std::optional<Due> due_while_active(const Order& order) {
  Earliest earliest;
  for (const Period& period : order.periods) {
    if (period.money == Money::kAuthorised && period.until)
      earliest.add(*period.until, DueKind::kPeriodUnused);
  }
  const std::optional<UnixSeconds> end = contract_end(order);
  if (!end) return earliest.get();
  if (renews_by_itself(order)) {
    earliest.add(renewal_due(order), DueKind::kRenewal);
  } else if (order.held) {
    const UnixSeconds until = std::max(*end, order.active_until.value_or(*end));
    earliest.add(order.zone.days_later(until, -1), DueKind::kExtension);
  } else {
    const bool by_owner = order.renewable && order.term->kind == Term::Kind::kFixed;
    if (by_owner && renewal_opens(order) > order.noted)
      earliest.add(renewal_opens(order), DueKind::kRenewalOpens);
    earliest.add_reminders(order, *end, DueKind::kExpiringSoon);
    earliest.add(*end, DueKind::kTermOver);
  }
  return earliest.get();
}

std::int64_t days_until(const Order& order, UnixSeconds now, UnixSeconds end) {
  std::int64_t days = 0;
  while (days < kReminderDays[0] && order.zone.days_later(now, days + 1) <= end) ++days;
  return days;
}

Result<void> remind(CarAffairs& affairs, Order& order, Message message, UnixSeconds end) {
  order.noted = affairs.now();
  // A sweep that comes after the end has nothing to remind of.
  if (end > affairs.now())
    TRY_VOID(tell(affairs, order, message,
                  {{"until", format_utc(end)}, {"days", days_until(order, affairs.now(), end)}}));
  save_order(affairs, order);
  return {};
}

// The licence until `active_until`, and the order saved.
Result<void> send_licence(CarAffairs& affairs, Order& order, std::string_view what) {
  TRY_VOID(relicense(affairs, order));
  affairs.record(what, order.id.text(),
                 {{"until", format_utc(*order.active_until)}, {"counter", order.licence_counter}});
  save_order(affairs, order);
  return {};
}

Result<void> bring_about(CarAffairs& affairs, Order& order, DueKind kind) {
  const auto cause = [&](OrderCause what) -> Result<void> {
    TRY_VOID(apply_cause(affairs, order, what, Json::object()));
    return {};
  };
  switch (kind) {
    case DueKind::kWindowEnd: return cause(OrderCause::kWindowOver);
    case DueKind::kTermOver:
    case DueKind::kLapsed: return cause(OrderCause::kTermOver);
    case DueKind::kPeriodUnused:
      TRY_VOID(give_back_unused(affairs, order));
      save_order(affairs, order);
      return {};
    case DueKind::kRenewal: return renew_order(affairs, order);
    case DueKind::kExtension:
      order.active_until =
          order.zone.days_later(std::max(affairs.now(), *order.active_until), kExtensionDays);
      return send_licence(affairs, order, "licence-extended");
    case DueKind::kLicenceRefresh:
      TRY_VOID(offer(affairs, order));
      save_order(affairs, order);
      return {};
    case DueKind::kRenewalOpens:
      return remind(affairs, order, Message::kRenewalOpen, *contract_end(order));
    case DueKind::kExpiringSoon:
      return remind(affairs, order, Message::kExpiring, *contract_end(order));
    case DueKind::kWindowReminder:
      return remind(affairs, order, Message::kReminder, order.download_by);
  }
  LAYBY_ASSERT(false);
}

}  // namespace

UnixSeconds renewal_opens(const Order& order) {
  return order.zone.days_later(*contract_end(order), -kRenewalOpensDays);
}

UnixSeconds renewal_due(const Order& order) {
  return order.zone.days_later(*contract_end(order), -kRenewalNoticeDays);
}

std::optional<UnixSeconds> next_charge(const Order& order) {
  if (order.phase != OrderPhase::kActive || !contract_end(order) || !renews_by_itself(order))
    return std::nullopt;
  return renewal_due(order);
}

std::optional<Due> next_due(const Order& order) {
  switch (order.phase) {
    case OrderPhase::kOrdered:
    case OrderPhase::kStaged:
    case OrderPhase::kDownloading: return due_while_waiting(order);
    case OrderPhase::kDownloaded:
    case OrderPhase::kActivating: return due_before_activation(order);
    case OrderPhase::kActive: return due_while_active(order);
    case OrderPhase::kCancelling:
    case OrderPhase::kDeactivating:
    case OrderPhase::kRefunded:
    case OrderPhase::kExpired:
    case OrderPhase::kEnded:
    case OrderPhase::kCancelled:
    case OrderPhase::kFailed: return std::nullopt;
  }
  LAYBY_ASSERT(false);
}

Result<Settled> settle_next(CarAffairs& affairs, Order& order) {
  const std::optional<Due> due = next_due(order);
  if (!due || due->at > affairs.now()) return Settled::kNothing;
  TRY_VOID(bring_about(affairs, order, due->kind));
  return Settled::kSomething;
}

Result<void> settle(CarAffairs& affairs, Order& order) {
  for (int n = 0; n < kSettledAtOnceMax; ++n) {
    if (TRY(settle_next(affairs, order)) == Settled::kNothing) break;
  }
  return {};  // what is left, if ever, is the sweep's
}

Result<void> renew_order(CarAffairs& affairs, Order& order) {
  LAYBY_ASSERT(order.phase == OrderPhase::kActive && order.renewable && contract_end(order));
  const std::uint64_t number = order.periods.back().number + 1;
  Period next{.number = number,
              .from = contract_end(order),
              .until = term_end(*order.term, order.zone, *order.periods.front().from, number),
              .money = Money::kNone,
              .licence = 0};
  authorise(affairs, order, next);
  order.periods.push_back(next);
  order.active_until = std::max(order.active_until, next.until);
  order.noted = affairs.now();
  TRY_VOID(tell(affairs, order, Message::kRenewed,
                {{"period", number}, {"until", format_utc(*next.until)}}));
  // Before it is saved: by this licence the car will show that it has the period.
  TRY_VOID(relicense(affairs, order));
  order.periods.back().licence = order.licence_counter;
  affairs.record(
      "order-renewed", order.id.text(),
      {{"period", number}, {"until", format_utc(*next.until)}, {"counter", order.licence_counter}});
  save_order(affairs, order);
  return {};
}

}  // namespace layby::server
