#include "server/shop/car_report.h"

#include <algorithm>

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/shop/desired.h"
#include "server/shop/obsolete_order.h"
#include "server/shop/order_change.h"
#include "server/shop/order_due.h"
#include "server/shop/order_licence.h"
#include "server/shop/order_money.h"

namespace layby::server {

using manifest::Json;

namespace {

std::optional<OrderCause> cause_of(manifest::OrderState state) {
  switch (state) {
    case manifest::OrderState::kOffered: return std::nullopt;
    case manifest::OrderState::kDownloading: return OrderCause::kReportedDownloading;
    case manifest::OrderState::kDownloaded:
    case manifest::OrderState::kWaiting: return OrderCause::kReportedDownloaded;
    case manifest::OrderState::kInstalling:
    case manifest::OrderState::kActivating:
    case manifest::OrderState::kConfirming: return OrderCause::kReportedActivating;
    case manifest::OrderState::kRollingBack: return std::nullopt;
    case manifest::OrderState::kActive: return OrderCause::kReportedActive;
    case manifest::OrderState::kDeactivated: return OrderCause::kReportedDeactivated;
    case manifest::OrderState::kFailed:
    case manifest::OrderState::kRefused: return OrderCause::kReportedFailed;
  }
  LAYBY_ASSERT(false);
}

const manifest::FunctionReport* find_function(const VehicleState& state, const Order& order) {
  if (!order.function) return nullptr;
  const auto found = state.functions.find(*order.function);
  return found == state.functions.end() ? nullptr : &found->second;
}

// The primary's word is not enough: each ECU says itself what it runs (Uptane 5.4.2.1).
Result<void> check_active(const Order& order, const VehicleState& state, const Car& car) {
  for (const OrderedImage& image : order.images) {
    if (!state.runs(image.slot, image.sha256, car))
      return fail(ErrorCode::kWrongImage, "reported active, but {} is not installed",
                  image.name.text());
  }
  if (!order.function) return {};
  const manifest::FunctionReport* function = find_function(state, order);
  if (function == nullptr || function->counter < order.licence_first ||
      function->counter > order.licence_counter ||
      function->state == manifest::FunctionState::kRevoked)
    return fail(ErrorCode::kLicenceRefused, "reported active, but not with licence {} to {}",
                order.licence_first, order.licence_counter);
  return {};
}

bool runs(const Order& order, const VehicleState& state) {
  const manifest::FunctionReport* function = find_function(state, order);
  return function != nullptr && function->state == manifest::FunctionState::kActive;
}

// A report names an order and not what is done for it. Of an order that is leaving it can still be
// about the installation, unless that state of the car began later. A car cannot switch off what it
// never switched on: it refuses the deactivation, or gives it up.
std::optional<OrderCause> cause_of(const Order& order, const manifest::OrderReport& said,
                                   const VehicleState& state) {
  const std::optional<OrderCause> cause = cause_of(said.state);
  if (!is_leaving(order.phase)) return cause;
  const bool is_newer = said.since >= order.since;
  const bool gives_up = said.state == manifest::OrderState::kRefused ||
                        (said.state == manifest::OrderState::kFailed && is_newer);
  if (gives_up && !runs(order, state)) return OrderCause::kReportedDeactivated;
  if (cause == OrderCause::kReportedDownloaded && is_newer)
    return OrderCause::kReportedDeactivating;
  return cause;
}

// Whether the rest of the report bears out what it says of the order.
Result<void> check_borne_out(const Order& order, OrderCause cause, const VehicleState& state,
                             const Car& car) {
  if (cause == OrderCause::kReportedDeactivated && is_leaving(order.phase) && runs(order, state))
    return fail(ErrorCode::kLicenceRefused, "reported deactivated, but the function runs");
  if (!is_coming(order.phase)) return {};  // nothing else that it says moves it
  const bool installs =
      cause == OrderCause::kReportedActivating || cause == OrderCause::kReportedActive;
  if (installs && order.function && order.licence_counter == 0)
    return fail(ErrorCode::kLicenceRefused, "a function cannot be activated without a licence");
  if (cause == OrderCause::kReportedActive) return check_active(order, state, car);
  return {};
}

Json error_json(const manifest::ErrorReport& error) {
  return {{"code", error.code}, {"name", error.name}, {"text", error.text}};
}

Json report_json(const manifest::OrderReport& report) {
  Json json{{"reported", std::string(manifest::to_string(report.state))},
            {"bytes_done", report.bytes_done},
            {"bytes_total", report.bytes_total}};
  if (!report.conditions.empty()) json["conditions"] = report.conditions;
  if (report.duration)
    json["duration"] = {{"shown_seconds", report.duration->shown},
                        {"took_seconds", report.duration->took},
                        {"since_lock_seconds", report.duration->since_lock}};
  if (report.error) json["error"] = error_json(*report.error);
  return json;
}

bool same_error(const std::optional<manifest::ErrorReport>& a,
                const std::optional<manifest::ErrorReport>& b) {
  if (a.has_value() != b.has_value()) return false;
  return !a || (a->code == b->code && a->name == b->name && a->text == b->text);
}

// Whether what the car said, with its conditions, went into a record.
enum class Recorded { kNo, kYes };

// The car's code and text, also while the order goes on after a roll-back (P4.5).
Recorded note_error(CarAffairs& affairs, Order& order, const manifest::OrderReport& report,
                    std::optional<manifest::ErrorReport> error) {
  const bool settled = !is_coming(order.phase) && !is_leaving(order.phase) && !order.exchange;
  if (settled || same_error(order.error, error)) return Recorded::kNo;
  order.error = std::move(error);
  if (order.error) {
    Json data = report_json(report);
    data["error"] = error_json(*order.error);  // ours, where the car's word was not believed
    affairs.record("order-error", order.id.text(), data);
  }
  save_order(affairs, order);
  return order.error ? Recorded::kYes : Recorded::kNo;
}

// A second try begins under other facts than the first, and its order need not change its state for
// it: the trail has them all the same (P5.4).
Result<void> note_conditions(CarAffairs& affairs, Order& order, const manifest::OrderReport& report,
                             Recorded recorded) {
  if (report.conditions.empty()) return {};
  const std::string text = TRY(manifest::to_canonical(report.conditions));
  std::string digest = to_hex(crypto::sha256(as_bytes(text)));
  if (digest == order.conditions) return {};
  order.conditions = std::move(digest);
  if (recorded == Recorded::kNo)
    affairs.record("order-conditions", order.id.text(), report_json(report));
  save_order(affairs, order);
  return {};
}

// The order stays failed; what ends is the revoking of its licence. `failed` is what the car said
// before it knew of that.
Result<void> settle_revocation(CarAffairs& affairs, Order& order,
                               const manifest::OrderReport& report, const VehicleState& state) {
  const bool settles = report.state == manifest::OrderState::kDeactivated ||
                       report.state == manifest::OrderState::kRefused;
  if (!settles || !TRY(is_desired(affairs, order.id))) return {};
  const manifest::FunctionReport* function = find_function(state, order);
  if (runs(order, state) && function->counter <= order.licence_counter) return {};
  affairs.record("licence-revoked", order.id.text(), report_json(report));
  order.revoked = true;
  save_order(affairs, order);
  return drop_desired(affairs, order.id);
}

// The car was activating when its owner left, and has rolled back: what is not active goes back to
// who has paid for it (P1.10).
Result<void> leave_unless_owned(CarAffairs& affairs, Order& order) {
  const bool waits = order.function && order.phase == OrderPhase::kDownloaded && !order.held;
  if (!waits || affairs.car().owned_by(order.account)) return {};
  TRY_VOID(apply_cause(affairs, order, OrderCause::kOwnerChanged, Json::object()));
  return {};
}

// Every ECU of the order's that has come since it was made has said what it runs. One that is
// silent may have it.
bool have_newer_ecus_spoken(const Order& order, const Car& car, const VehicleState& state) {
  const auto has_spoken = [&](const CarEcu& ecu) {
    const bool is_primary = car.pairing && ecu.serial == car.pairing->primary;
    return is_primary ||
           (state.secondaries.contains(ecu.serial) && !state.silent.contains(ecu.serial));
  };
  for (const OrderedImage& image : order.images)
    for (const CarEcu* ecu : car.ecus_of(image.slot))
      if (ecu->since > order.ordered && !has_spoken(*ecu)) return false;
  return true;
}

// The car is done with it, and an ECU that does not have it has come since: it will be offered
// anew.
bool has_ended_elsewhere(const Order& order, OrderCause cause, const Car& car,
                         const VehicleState& state) {
  return cause == OrderCause::kReportedActive && order.kind == manifest::ImageKind::kSoftware &&
         is_coming(order.phase) && is_for_newer_ecu(order, car) &&
         have_newer_ecus_spoken(order, car, state);
}

Result<Recorded> apply_to_order(CarAffairs& affairs, Order& order,
                                const manifest::OrderReport& report, const VehicleState& state) {
  const std::optional<OrderCause> cause = cause_of(order, report, state);
  if (!cause) return note_error(affairs, order, report, report.error);
  if (const Result<void> fine = check_borne_out(order, *cause, state, affairs.car()); !fine) {
    const Recorded refused =
        note_error(affairs, order, report, manifest::describe_error(fine.error()));
    if (!has_ended_elsewhere(order, *cause, affairs.car(), state)) return refused;
    TRY_VOID(apply_cause(affairs, order, OrderCause::kObsolete, report_json(report)));
    return Recorded::kYes;
  }
  const Recorded error = note_error(affairs, order, report, report.error);
  const OrderStep::Kind step =
      TRY(apply_cause(affairs, order, *cause, report_json(report), report.since));
  TRY_VOID(leave_unless_owned(affairs, order));
  return step == OrderStep::Kind::kMove ? Recorded::kYes : error;
}

Result<void> take_word(CarAffairs& affairs, Order& order, const manifest::OrderReport& report,
                       const VehicleState& state) {
  TRY_VOID(settle(affairs, order));
  if (TRY(renew_seal(affairs, order, state)) == Sealed::kAnew) save_order(affairs, order);
  if (order.phase == OrderPhase::kFailed) return settle_revocation(affairs, order, report, state);
  const Recorded recorded = TRY(apply_to_order(affairs, order, report, state));
  return note_conditions(affairs, order, report, recorded);
}

// Where it is to get the package as well, the same number can be that of another key's licence
// until it has that.
Result<bool> has_its_package(CarAffairs& affairs, const Order& order, const VehicleState& state) {
  const std::vector<std::string> waiting = TRY(images_to_install(affairs, order.id));
  if (waiting.empty()) return true;
  return std::ranges::all_of(order.images, [&](const OrderedImage& image) {
    return std::ranges::find(waiting, image.name.text()) != waiting.end() &&
           state.runs(image.slot, image.sha256, affairs.car());
  });
}

// A renewal is billed when the car shows that it has its licence (P1.5).
Result<void> confirm_licence(CarAffairs& affairs, Order& order,
                             const manifest::FunctionReport& said, const VehicleState& state) {
  // A number that was never given out is a thief's, and shows nothing.
  const bool is_ours = said.counter <= order.licence_counter;
  if (said.state == manifest::FunctionState::kRevoked || !is_ours ||
      !TRY(has_its_package(affairs, order, state)))
    return {};
  if (said.counter == order.licence_counter) TRY_VOID(drop_desired(affairs, order.id));
  bool billed = false;
  for (Period& period : order.periods) {
    if (period.money != Money::kAuthorised || said.counter < period.licence) continue;
    TRY_VOID(bill(affairs, order, period));
    affairs.record("renewal-billed", order.id.text(),
                   {{"period", period.number}, {"counter", said.counter}});
    billed = true;
  }
  if (billed) save_order(affairs, order);
  return {};
}

Result<void> apply_function(CarAffairs& affairs, const std::string& id,
                            const manifest::FunctionReport& said, const VehicleState& state) {
  Order order = TRY(load_order(affairs.change(), affairs.car().vin, id));
  if (TRY(note_exchange(affairs, order, state)) == OrderIs::kChanged) save_order(affairs, order);
  if (order.phase != OrderPhase::kActive) return {};
  TRY_VOID(settle(affairs, order));
  if (order.phase != OrderPhase::kActive) return {};
  TRY_VOID(confirm_licence(affairs, order, said, state));
  if (TRY(exchange_licence_key(affairs, order, state)) == OrderIs::kChanged)
    save_order(affairs, order);
  return {};
}

}  // namespace

Result<void> apply_functions(CarAffairs& affairs, const VehicleState& state) {
  for (const auto& [function, said] : state.functions) {
    const std::optional<std::string> id =
        TRY(newest_licensed(affairs.change(), affairs.car().vin, function));
    if (id) TRY_VOID(apply_function(affairs, *id, said, state));
  }
  return {};
}

Result<void> renew_seals(CarAffairs& affairs, const VehicleState& state) {
  for (Order& order : TRY(load_orders(affairs.change(), affairs.car().vin))) {
    if (TRY(renew_seal(affairs, order, state)) == Sealed::kAnew) save_order(affairs, order);
  }
  return {};
}

Result<void> apply_report(CarAffairs& affairs, const manifest::EcuReport& report,
                          const VehicleState& state) {
  for (const manifest::OrderReport& said : report.orders) {
    Result<Order> order = load_order(affairs.change(), affairs.car().vin, said.id.text());
    // An order that was never this car's: there is nothing to move.
    if (!order && order.error().code() == ErrorCode::kNotFound) continue;
    if (!order) return fail(order.error());
    // Whoever knows an order has been given the time since then.
    if (report.time + kReportBehindSecondsMax < order->ordered) {
      const Error early(ErrorCode::kUntrustedTime, "reported at a time before it was ordered");
      note_error(affairs, *order, said, manifest::describe_error(early));
      continue;
    }
    TRY_VOID(take_word(affairs, *order, said, state));
  }
  return {};
}

}  // namespace layby::server
