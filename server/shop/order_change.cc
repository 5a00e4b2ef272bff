#include "server/shop/order_change.h"

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/director/licence_issuer.h"
#include "server/fleet/deadline.h"
#include "server/fleet/json_answer.h"
#include "server/release/release_keys.h"
#include "server/shop/desired.h"

namespace layby::server {

using manifest::Json;

namespace {

std::string window_key(const Order& order) {
  return deadline_key({.at = order.download_by,
                       .kind = DeadlineKind::kDownload,
                       .subject = order.vin.text(),
                       .id = order.id.text()});
}

std::string waits_key(const Order& order, const OrderedImage& image) {
  return order_waits_prefix(image.name.text()) + order.id.text();
}

Json price_json(const Order& order) {
  Json json{{"amount_cents", order.price.cents}, {"currency", order.price.currency}};
  if (order.product) json["product"] = *order.product;
  return json;
}

// Exactly one of billing and giving back before billing, whatever comes later: `money` only moves
// forward.
void bill(CarAffairs& affairs, Order& order) {
  if (order.money != Money::kAuthorised) return;
  order.money = Money::kBilled;
  affairs.emit(EventType::kBilling, order.id.text(), price_json(order));
  affairs.tell_owner(Message::kInvoiced, order.id.text());
}

void give_back(CarAffairs& affairs, Order& order, OrderCause cause) {
  const bool billed = order.money == Money::kBilled;
  if (!billed && order.money != Money::kAuthorised) return;
  order.money = billed ? Money::kRefunded : Money::kReturned;
  Json data = price_json(order);
  data["of"] = billed ? "billing" : "authorisation";
  data["cause"] = std::string(to_string(cause));
  affairs.emit(EventType::kRefund, order.id.text(), data);
  affairs.tell_owner(Message::kRefunded, order.id.text());
}

// The next licence of the function in this car; its counter rises over all orders of the function.
Result<std::string> next_licence(CarAffairs& affairs, Order& order, manifest::LicenceState state) {
  const Car& car = affairs.car();
  LAYBY_ASSERT(order.function && order.term);
  if (!car.pairing) return fail(ErrorCode::kConflict, "the car is not paired");
  const std::string key = car_prefix(car.vin) + "licence/" + order.function->text();
  std::uint64_t counter = 0;
  std::optional<manifest::OrderId> previous;
  if (const std::optional<std::string> text = TRY(affairs.change().get(key))) {
    const Json json = TRY(parse_stored(key, *text));
    counter = TRY(manifest::uint_field(json, "counter"));
    previous = TRY(manifest::text_field(json, "order").and_then(manifest::OrderId::parse));
  }
  ++counter;
  // What revoked the licence of an order that has failed is overtaken by a newer licence.
  if (previous && *previous != order.id) TRY_VOID(drop_desired(affairs, *previous));
  if (state == manifest::LicenceState::kActive && !order.active_until)
    order.active_until = term_end(*order.term, affairs.now());
  const manifest::Licence licence{.vin = car.vin,
                                  .function = *order.function,
                                  .order = order.id,
                                  .counter = counter,
                                  .state = state,
                                  .issued = affairs.now(),
                                  .until = order.active_until};
  std::string sealed = TRY(issue_licence(affairs.services(), licence, car.pairing->seal_key));
  order.licence_counter = counter;
  order.licence_for = to_hex(car.pairing->seal_key);
  affairs.change().put(key, to_stored({{"counter", counter}, {"order", order.id.text()}}));
  return sealed;
}

Result<void> offer(CarAffairs& affairs, Order& order) {
  std::string licence;
  if (order.function && order.downloaded)
    licence = TRY(next_licence(affairs, order, manifest::LicenceState::kActive));
  return desire_install(affairs, order, licence);
}

// The licence that the car was sent counts no longer.
Result<void> revoke(CarAffairs& affairs, Order& order) {
  const std::string revoking = TRY(next_licence(affairs, order, manifest::LicenceState::kRevoked));
  return desire_deactivation(affairs, order, revoking);
}

// It is all in the car for the first time: the window is over and a function gets its licence.
Result<void> note_downloaded(CarAffairs& affairs, Order& order) {
  order.downloaded = affairs.now();
  affairs.tell_owner(Message::kDownloaded, order.id.text());
  if (order.function) TRY_VOID(offer(affairs, order));
  return {};
}

void stop_waiting_for_payload(CarAffairs& affairs, const Order& order) {
  for (const OrderedImage& image : order.images) affairs.change().erase(waits_key(order, image));
}

Result<void> enter(CarAffairs& affairs, Order& order, OrderCause cause) {
  const std::string& id = order.id.text();
  switch (order.phase) {
    case OrderPhase::kOrdered: return {};
    case OrderPhase::kStaged: return offer(affairs, order);
    case OrderPhase::kDownloading: return {};
    case OrderPhase::kDownloaded:
    case OrderPhase::kInstalling:
      if (!order.downloaded) return note_downloaded(affairs, order);
      return {};
    case OrderPhase::kActive:
      if (!order.downloaded) TRY_VOID(note_downloaded(affairs, order));
      affairs.tell_owner(Message::kActivated, id);
      bill(affairs, order);
      return drop_desired(affairs, order.id);
    case OrderPhase::kCancelled:
      affairs.tell_owner(Message::kCancelled, id);
      give_back(affairs, order, cause);
      return drop_desired(affairs, order.id);
    case OrderPhase::kFailed:
      affairs.tell_owner(Message::kFailed, id);
      give_back(affairs, order, cause);
      // A car that was sent a licence could still activate what was given back.
      if (order.licence_counter > 0) return revoke(affairs, order);
      return drop_desired(affairs, order.id);
    case OrderPhase::kWithdrawn:
      affairs.tell_owner(Message::kWithdrawn, id);
      // At once and not when the car answers: the right to withdraw does not depend on the car,
      // and the licence that revokes is on its way.
      give_back(affairs, order, cause);
      return revoke(affairs, order);
    case OrderPhase::kEnded:
      affairs.tell_owner(Message::kEnded, id);
      return drop_desired(affairs, order.id);
  }
  LAYBY_ASSERT(false);
}

void append_history(CarAffairs& affairs, Order& order, std::string_view cause) {
  order.since = affairs.now();
  order.history.push_back({.phase = order.phase,
                           .at = affairs.now(),
                           .who = affairs.who(),
                           .cause = std::string(cause)});
}

}  // namespace

void save_order(CarAffairs& affairs, const Order& order) {
  affairs.change().put(order_key(order.vin, order.id.text()), encode_order(order));
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
          .phase = OrderPhase::kOrdered,
          .since = 0,
          .ordered = 0,
          .download_by = 0,
          .downloaded = {},
          .price = {},
          .money = Money::kNone,
          .term = {},
          .withdraw_by = {},
          .active_until = {},
          .licence_counter = 0,
          .licence_for = {},
          .error = {},
          .history = {}};
}

Result<Order> place_order(CarAffairs& affairs, Order order) {
  const std::string& id = order.id.text();
  order.ordered = affairs.now();
  order.download_by = affairs.now() + kDownloadWindowSeconds;
  order.phase = OrderPhase::kOrdered;
  append_history(affairs, order, "ordered");
  affairs.change().put(order_lookup_key(id), order.vin.text());
  affairs.change().put(window_key(order), "");
  affairs.record("order-ordered", id, order_json(order, OrderView::kFull));
  affairs.tell_owner(Message::kOrdered, id);
  order.money = order.price.cents > 0 ? Money::kAuthorised : Money::kNone;
  if (order.money == Money::kAuthorised)
    affairs.emit(EventType::kAuthorisation, id, price_json(order));
  save_order(affairs, order);
  TRY_VOID(stage_if_ready(affairs, order));
  return order;
}

Result<OrderStep::Kind> apply_cause(CarAffairs& affairs, Order& order, OrderCause cause,
                                    const Json& details) {
  const OrderStep step = order_step(order.phase, cause);
  if (step.kind != OrderStep::Kind::kMove) return step.kind;
  const OrderPhase from = order.phase;
  order.phase = step.to;
  append_history(affairs, order, to_string(cause));
  if (awaits_download(from) && !awaits_download(order.phase))
    affairs.change().erase(window_key(order));
  if (from == OrderPhase::kOrdered) stop_waiting_for_payload(affairs, order);
  affairs.record("order-" + std::string(to_string(order.phase)), order.id.text(),
                 {{"cause", std::string(to_string(cause))},
                  {"from", std::string(to_string(from))},
                  {"details", details}});
  TRY_VOID(enter(affairs, order, cause));
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

Result<void> renew_seal(CarAffairs& affairs, Order& order) {
  if (order.licence_counter == 0 || !affairs.car().pairing ||
      order.licence_for == to_hex(affairs.car().pairing->seal_key))
    return {};
  switch (order.phase) {
    case OrderPhase::kDownloaded:
    case OrderPhase::kInstalling: TRY_VOID(offer(affairs, order)); break;
    case OrderPhase::kFailed:
      if (!TRY(is_desired(affairs, order.id))) return {};  // revoked and over
      TRY_VOID(revoke(affairs, order));
      break;
    case OrderPhase::kWithdrawn: TRY_VOID(revoke(affairs, order)); break;
    case OrderPhase::kOrdered:
    case OrderPhase::kStaged:
    case OrderPhase::kDownloading:
    case OrderPhase::kActive:
    case OrderPhase::kCancelled:
    case OrderPhase::kEnded: return {};
  }
  affairs.record("licence-sealed-anew", order.id.text(), {{"counter", order.licence_counter}});
  save_order(affairs, order);
  return {};
}

}  // namespace layby::server
