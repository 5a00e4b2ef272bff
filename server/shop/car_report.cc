#include "server/shop/car_report.h"

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/shop/desired.h"
#include "server/shop/order_change.h"

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
    case manifest::OrderState::kConfirming: return OrderCause::kReportedInstalling;
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

Result<void> check_active(const Order& order, const VehicleState& state) {
  for (const OrderedImage& image : order.images) {
    const auto found = state.installed.find(image.name.slot());
    if (found == state.installed.end() || found->second.sha256 != image.sha256)
      return fail(ErrorCode::kWrongImage, "reported active, but {} is not installed",
                  image.name.text());
  }
  if (!order.function) return {};
  const manifest::FunctionReport* function = find_function(state, order);
  if (function == nullptr || function->counter != order.licence_counter ||
      function->state == manifest::FunctionState::kRevoked)
    return fail(ErrorCode::kLicenceRefused, "reported active, but not with licence {}",
                order.licence_counter);
  return {};
}

// Whether the rest of the report bears out what it says of the order.
Result<void> check_borne_out(const Order& order, OrderCause cause, const VehicleState& state) {
  if (is_final(order.phase)) return {};  // nothing that it says moves it
  const bool installs =
      cause == OrderCause::kReportedInstalling || cause == OrderCause::kReportedActive;
  if (installs && order.function && order.licence_counter == 0)
    return fail(ErrorCode::kLicenceRefused, "a function cannot be activated without a licence");
  if (cause == OrderCause::kReportedActive && order.phase != OrderPhase::kWithdrawn)
    return check_active(order, state);
  if (cause == OrderCause::kReportedDeactivated) {
    const manifest::FunctionReport* function = find_function(state, order);
    if (function != nullptr && function->state == manifest::FunctionState::kActive)
      return fail(ErrorCode::kLicenceRefused, "reported deactivated, but the function runs");
  }
  return {};
}

// A car cannot switch off what it never switched on: it refuses the deactivation, and its report
// says that the function does not run.
bool has_nothing_to_end(const Order& order, const manifest::OrderReport& report) {
  return order.phase == OrderPhase::kWithdrawn && report.state == manifest::OrderState::kRefused;
}

Json report_json(const manifest::OrderReport& report) {
  Json json{{"reported", std::string(manifest::to_string(report.state))},
            {"bytes_done", report.bytes_done},
            {"bytes_total", report.bytes_total}};
  if (!report.conditions.empty()) json["conditions"] = report.conditions;
  if (report.error)
    json["error"] = {
        {"code", report.error->code}, {"name", report.error->name}, {"text", report.error->text}};
  return json;
}

bool same_error(const std::optional<manifest::ErrorReport>& a,
                const std::optional<manifest::ErrorReport>& b) {
  if (a.has_value() != b.has_value()) return false;
  return !a || (a->code == b->code && a->name == b->name && a->text == b->text);
}

// The car's code and text, also while the order goes on after a roll-back (P4.5).
void note_error(CarAffairs& affairs, Order& order, const manifest::OrderReport& report,
                std::optional<manifest::ErrorReport> error) {
  if (is_final(order.phase) || same_error(order.error, error)) return;
  order.error = std::move(error);
  if (order.error) affairs.record("order-error", order.id.text(), report_json(report));
  save_order(affairs, order);
}

// The order stays failed; what ends is the revoking of its licence. `failed` is what the car said
// before it knew of that.
Result<void> settle_revocation(CarAffairs& affairs, const Order& order,
                               const manifest::OrderReport& report, const VehicleState& state) {
  const bool settles = report.state == manifest::OrderState::kDeactivated ||
                       report.state == manifest::OrderState::kRefused;
  if (!settles || !TRY(is_desired(affairs, order.id))) return {};
  const manifest::FunctionReport* function = find_function(state, order);
  const bool runs = function != nullptr && function->state == manifest::FunctionState::kActive &&
                    function->counter <= order.licence_counter;
  if (runs) return {};
  affairs.record("licence-revoked", order.id.text(), report_json(report));
  return drop_desired(affairs, order.id);
}

Result<void> apply_to_order(CarAffairs& affairs, Order& order, const manifest::OrderReport& report,
                            const VehicleState& state) {
  if (awaits_download(order.phase) && affairs.now() >= order.download_by)
    TRY_VOID(apply_cause(affairs, order, OrderCause::kWindowOver, Json::object()));
  TRY_VOID(renew_seal(affairs, order));
  if (order.phase == OrderPhase::kFailed) return settle_revocation(affairs, order, report, state);
  const std::optional<OrderCause> cause =
      has_nothing_to_end(order, report) ? OrderCause::kReportedDeactivated : cause_of(report.state);
  if (!cause) {
    note_error(affairs, order, report, report.error);
    return {};
  }
  if (const Result<void> fine = check_borne_out(order, *cause, state); !fine) {
    note_error(affairs, order, report, manifest::describe_error(fine.error()));
    return {};
  }
  note_error(affairs, order, report, report.error);
  TRY_VOID(apply_cause(affairs, order, *cause, report_json(report)));
  return {};
}

}  // namespace

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
    TRY_VOID(apply_to_order(affairs, *order, said, state));
  }
  return {};
}

}  // namespace layby::server
