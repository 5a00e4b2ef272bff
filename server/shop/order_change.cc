#include "server/shop/order_change.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/deadline.h"
#include "server/release/release_keys.h"
#include "server/shop/desired.h"
#include "server/shop/order_due.h"
#include "server/shop/order_licence.h"
#include "server/shop/order_message.h"
#include "server/shop/order_money.h"

namespace layby::server {

using manifest::Json;

namespace {

std::string index_key(const Order& order, UnixSeconds at) {
  return deadline_key(
      {.at = at, .kind = DeadlineKind::kOrder, .subject = order.vin.text(), .id = order.id.text()});
}

std::string waits_key(const Order& order, const OrderedImage& image) {
  return order_waits_prefix(image.name.text()) + order.id.text();
}

// It is all in the car for the first time: the window is over and a function gets its licence.
Result<void> note_downloaded(CarAffairs& affairs, Order& order) {
  if (order.downloaded) return {};
  order.downloaded = affairs.now();
  TRY_VOID(tell(affairs, order, Message::kDownloaded));
  if (order.function) TRY_VOID(offer(affairs, order));
  return {};
}

void note_inclusive(CarAffairs& affairs, const Order& order) {
  if (order.term && order.term->kind == Term::Kind::kInclusive)
    affairs.change().put(had_inclusive_key(order.vin, *order.function), order.id.text());
}

// What failed in the car, or its owner would not have, is not offered to it again (rollout/).
void note_settled(CarAffairs& affairs, const Order& order, OrderCause cause) {
  const bool settled =
      (order.phase == OrderPhase::kFailed && cause != OrderCause::kObsolete) ||
      (order.phase == OrderPhase::kCancelled && cause == OrderCause::kOwnerCancels);
  if (order.kind != manifest::ImageKind::kSoftware || !settled) return;
  for (const OrderedImage& image : order.images)
    affairs.change().put(settled_software_key(order.vin, image.sha256), order.id.text());
}

void stop_waiting_for_payload(CarAffairs& affairs, const Order& order) {
  for (const OrderedImage& image : order.images) affairs.change().erase(waits_key(order, image));
}

// The money part of an entry (order_state.h).
Result<void> move_money(CarAffairs& affairs, Order& order, OrderCause cause) {
  switch (order_entry(order.phase).money) {
    case OrderEntry::MoneyIs::kLeft:
    case OrderEntry::MoneyIs::kAuthorised: return {};  // by place_order
    case OrderEntry::MoneyIs::kBilled:
      if (order.periods.empty()) return {};
      return bill(affairs, order, order.periods.front());
    case OrderEntry::MoneyIs::kReturned:
      return give_back(affairs, order, GiveBack::kUnbilled, to_string(cause));
    // At once and not when the car answers: the right to withdraw does not depend on the car, and
    // the licence that revokes is on its way.
    case OrderEntry::MoneyIs::kGivenBack:
      return give_back(affairs, order, GiveBack::kAll, to_string(cause));
  }
  LAYBY_ASSERT(false);
}

// What the car is to do after an entry.
Result<void> tell_car(CarAffairs& affairs, Order& order) {
  switch (order_entry(order.phase).car) {
    case OrderEntry::CarIs::kLeft: return {};
    case OrderEntry::CarIs::kOffered: return offer(affairs, order);
    case OrderEntry::CarIs::kLicensed: return note_downloaded(affairs, order);
    case OrderEntry::CarIs::kSwitchedOff: return switch_off(affairs, order);
    case OrderEntry::CarIs::kLetGo: return drop_desired(affairs, order.id);
  }
  LAYBY_ASSERT(false);
}

// A term that counts from the activation begins with it: not when we hear of it, which a car
// without connection or in private mode can put off, and not before the car had a licence. Its
// licence says another end: the car gets one with the right one.
Result<void> begin_term(CarAffairs& affairs, Order& order, UnixSeconds activated) {
  order.noted = affairs.now();
  if (order.periods.empty()) return {};
  Period& first = order.periods.front();
  if (!first.from) {
    const UnixSeconds from = std::clamp(activated, *order.downloaded, affairs.now());
    first.from = from;
    first.until = term_end(*order.term, order.zone, from);
  }
  if (first.until == order.active_until) return {};
  order.active_until = first.until;
  return relicense(affairs, order);
}

Result<void> enter(CarAffairs& affairs, Order& order, OrderCause cause, UnixSeconds happened) {
  // A car that was offline skips the report of the download.
  if (order.phase == OrderPhase::kActive) {
    TRY_VOID(note_downloaded(affairs, order));
    note_inclusive(affairs, order);
  }
  note_settled(affairs, order, cause);
  const OrderEntry& entry = order_entry(order.phase);
  if (entry.message) TRY_VOID(tell(affairs, order, *entry.message));
  TRY_VOID(move_money(affairs, order, cause));
  TRY_VOID(tell_car(affairs, order));
  if (order.phase == OrderPhase::kActive) return begin_term(affairs, order, happened);
  return {};
}

void append_history(CarAffairs& affairs, Order& order, std::string_view cause) {
  order.since = affairs.now();
  if (order.history.size() >= kHistoryFirst + kHistoryLast)
    order.history.erase(order.history.begin() + kHistoryFirst);
  order.history.push_back({.phase = order.phase,
                           .at = affairs.now(),
                           .who = affairs.who(),
                           .cause = std::string(cause)});
}

void begin_money(CarAffairs& affairs, Order& order) {
  if (!order.function) return;
  Period first;
  if (order.term->ends() && order.term->from == Term::From::kAcceptance) {
    first.from = affairs.now();
    first.until = term_end(*order.term, order.zone, affairs.now());
  }
  authorise(affairs, order, first);
  order.periods = {first};
}

}  // namespace

void save_order(CarAffairs& affairs, Order& order) {
  const std::optional<Due> due = next_due(order);
  const std::optional<UnixSeconds> at = due ? std::optional(due->at) : std::nullopt;
  if (order.indexed != at) {
    if (order.indexed) affairs.change().erase(index_key(order, *order.indexed));
    if (at) affairs.change().put(index_key(order, *at), "");
    order.indexed = at;
  }
  const std::string open = order_key(order.vin, order.id.text());
  const std::string past = past_order_key(order.vin, order.id.text());
  if (is_over(order)) affairs.change().erase(open);
  affairs.change().put(is_over(order) ? past : open, encode_order(order));
}

Order make_order(CarAffairs& affairs, manifest::ImageKind kind, const std::string& account) {
  return {.id = manifest::OrderId::generate(affairs.now()),
          .vin = affairs.car().vin,
          .kind = kind,
          .account = account,
          .product = {},
          .function = {},
          .regions = {},
          .images = {},
          .delivery = manifest::Delivery::kOverTheAir,
          .phase = OrderPhase::kOrdered,
          .since = 0,
          .ordered = 0,
          .download_by = 0,
          .downloaded = {},
          .zone = TimeZone::utc(),
          .price = {},
          .periods = {},
          .term = {},
          .renewable = false,
          .auto_renew = false,
          .protects = false,
          .held = false,
          .revoked = false,
          .withdraw_by = {},
          .active_until = {},
          .licence_counter = 0,
          .licence_first = 0,
          .licence_issued = 0,
          .licence_for = {},
          .noted = 0,
          .indexed = {},
          .error = {},
          .conditions = {},
          .history = {}};
}

Result<Order> place_order(CarAffairs& affairs, Order order) {
  const std::string& id = order.id.text();
  order.zone = TRY(TimeZone::find(affairs.car().time_zone));
  order.ordered = affairs.now();
  order.noted = affairs.now();
  order.download_by = order.zone.days_later(affairs.now(), kDownloadWindowDays);
  order.phase = OrderPhase::kOrdered;
  append_history(affairs, order, "ordered");
  affairs.change().put(order_lookup_key(id), order.vin.text());
  affairs.record("order-ordered", id, order_json(order, OrderView::kFull));
  if (const auto message = order_entry(order.phase).message)
    TRY_VOID(tell(affairs, order, *message));
  begin_money(affairs, order);
  save_order(affairs, order);
  TRY_VOID(stage_if_ready(affairs, order));
  return order;
}

Result<OrderStep::Kind> apply_cause(CarAffairs& affairs, Order& order, OrderCause cause,
                                    const Json& details, std::optional<UnixSeconds> happened) {
  const OrderStep step = order_step(order.phase, cause);
  if (step.kind != OrderStep::Kind::kMove) return step.kind;
  const OrderPhase from = order.phase;
  order.phase = step.to;
  append_history(affairs, order, to_string(cause));
  if (from == OrderPhase::kOrdered) stop_waiting_for_payload(affairs, order);
  affairs.record("order-" + std::string(to_string(order.phase)), order.id.text(),
                 {{"cause", std::string(to_string(cause))},
                  {"from", std::string(to_string(from))},
                  {"details", details}});
  TRY_VOID(enter(affairs, order, cause, happened.value_or(affairs.now())));
  save_order(affairs, order);
  return step.kind;
}

Result<void> stage_if_ready(CarAffairs& affairs, Order& order) {
  if (order.phase != OrderPhase::kOrdered) return {};
  bool ready = true;
  for (const OrderedImage& image : order.images) {
    const bool published =
        TRY(affairs.change().get(payload_key(image.sha256, std::nullopt))).has_value();
    if (published)
      affairs.change().erase(waits_key(order, image));
    else
      affairs.change().put(waits_key(order, image), order.vin.text());
    ready = ready && published;
  }
  if (ready) TRY_VOID(apply_cause(affairs, order, OrderCause::kPayloadReady, Json::object()));
  return {};
}

}  // namespace layby::server
