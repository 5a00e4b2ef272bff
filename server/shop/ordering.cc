#include "server/shop/ordering.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/idempotency.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/stolen.h"
#include "server/shop/order_change.h"
#include "server/shop/order_due.h"
#include "server/shop/owners_order.h"

namespace layby::server {

using manifest::Json;

namespace {

struct OrderRequest {
  manifest::Vin vin;
  manifest::ImageKind kind;
  std::string product;                                            // functions
  std::optional<bool> auto_renew;                                 // functions with a term
  std::vector<std::string> regions;                               // maps
  manifest::Delivery delivery = manifest::Delivery::kOverTheAir;  // maps
};

Result<OrderRequest> read_order(const Request& request) {
  const Json body = TRY(json_body(request));
  auto vin = TRY(manifest::text_field(body, "vin").and_then(manifest::Vin::parse));
  auto kind = TRY(manifest::text_field(body, "kind").and_then(manifest::parse_image_kind));
  OrderRequest wanted{.vin = std::move(vin),
                      .kind = std::move(kind),
                      .product = {},
                      .auto_renew = {},
                      .regions = {},
                      .delivery = manifest::Delivery::kOverTheAir};
  switch (wanted.kind) {
    case manifest::ImageKind::kFunction:
      TRY_VOID(check_fields(body, {"vin", "kind", "product", "auto_renew"}));
      wanted.product = TRY(manifest::text_field(body, "product"));
      wanted.auto_renew = TRY(flag_field(body, "auto_renew"));
      return wanted;
    case manifest::ImageKind::kMap:
      TRY_VOID(check_fields(body, {"vin", "kind", "regions", "delivery"}));
      wanted.regions = TRY(texts_field(body, "regions", 1000));
      if (manifest::find_field(body, "delivery"))
        wanted.delivery =
            TRY(manifest::text_field(body, "delivery").and_then(manifest::parse_delivery));
      return wanted;
    case manifest::ImageKind::kSoftware: break;
  }
  return fail(ErrorCode::kInvalidArgument,
              "software is offered by the fleet and not ordered: give the consent to it");
}

// The function runs, or an order that is still good says that it does. A car that has not heard yet
// that its term is over does not stand in the way of buying it again.
Answer<void> check_not_active(const std::vector<Order>& orders, const VehicleState* state,
                              const manifest::FunctionId& function) {
  const auto has = [&](OrderPhase phase) {
    return std::any_of(orders.begin(), orders.end(), [&](const Order& order) {
      return order.phase == phase && order.function == function;
    });
  };
  const bool runs = state != nullptr && state->has_active(function);
  if (!has(OrderPhase::kActive) && (!runs || has(OrderPhase::kExpired))) return {};
  return refuse(RefusalCode::kAlreadyActive, "the car has this function already");
}

Answer<Order> order_function(CarAffairs& affairs, const OrderRequest& wanted,
                             const std::string& account) {
  Change& change = affairs.change();
  const Product product = TRY(load_product(change, wanted.product));
  const std::optional<VehicleState> state = TRY(load_vehicle_state(change, wanted.vin));
  const VehicleState* known = state ? &*state : nullptr;
  const std::optional<Image> published =
      TRY(image([&](std::string_view key) { return change.get(key); }, product.image.text()));
  std::vector<Order> orders = TRY(load_orders(change, wanted.vin));
  for (Order& order : orders) TRY_VOID(settle(affairs, order));
  const std::vector<Product> beside = TRY(products_beside(affairs.services().store, orders));
  const bool had_inclusive =
      TRY(change.get(had_inclusive_key(wanted.vin, product.function()))).has_value();
  std::vector<Reason> reasons = check_fit(product, {.car = affairs.car(),
                                                    .state = known,
                                                    .image = published ? &*published : nullptr,
                                                    .orders = orders,
                                                    .beside = beside,
                                                    .had_inclusive = had_inclusive});
  if (!reasons.empty())
    return refuse(RefusalCode::kDoesNotFit, fmt::format("{} does not fit this car", product.id),
                  std::move(reasons));
  if (product.protects && TRY(load_stolen(change, wanted.vin)))
    return refuse(RefusalCode::kReportedStolen,
                  "the car is reported stolen: this is not sold until the report is lifted");
  const manifest::FunctionId function = product.function();
  if (Answer<void> fine = check_not_under_way(orders, product.image.slot()); !fine)
    return tl::unexpected(std::move(fine.error()));
  if (Answer<void> fine = check_not_active(orders, known, function); !fine)
    return tl::unexpected(std::move(fine.error()));
  if (wanted.auto_renew.value_or(false) && !product.renewable)
    return refuse(RefusalCode::kNotRenewable, "this product has no term that could be renewed");
  Order order = make_order(affairs, wanted.kind, account);
  order.product = product.id;
  order.function = function;
  order.images = {{.name = product.image, .sha256 = published->entry.sha256}};
  order.price = product.price;
  order.term = product.term;
  order.renewable = product.renewable;
  order.auto_renew = wanted.auto_renew.value_or(product.term.kind == Term::Kind::kSubscription);
  order.protects = product.protects;
  if (product.withdrawal_days) {
    const TimeZone zone = TRY(TimeZone::find(affairs.car().time_zone));
    order.withdraw_by =
        zone.days_later(affairs.now(), static_cast<std::int64_t>(*product.withdrawal_days));
  }
  return TRY(place_order(affairs, std::move(order)));
}

Answer<void> check_count(std::size_t count, manifest::Delivery delivery) {
  switch (delivery) {
    case manifest::Delivery::kOverTheAir:
      if (count == 0) return fail(ErrorCode::kInvalidArgument, "\"regions\": 1 to 3 of them");
      if (count <= kMapRegionsMax) return {};
      return refuse(
          RefusalCode::kTooManyRegions,
          fmt::format("at most {} regions in one update; a partner can prepare any number "
                      "in the workshop",
                      kMapRegionsMax));
    case manifest::Delivery::kOffline:
      if (count > 0 && count <= kOfflineRegionsMax) return {};
      return fail(ErrorCode::kInvalidArgument, "\"regions\": 1 to {} of them", kOfflineRegionsMax);
  }
  LAYBY_ASSERT(false);
}

Answer<std::vector<manifest::RegionId>> read_regions(const std::vector<std::string>& names,
                                                     manifest::Delivery delivery) {
  if (Answer<void> fine = check_count(names.size(), delivery); !fine)
    return tl::unexpected(std::move(fine.error()));
  std::vector<manifest::RegionId> regions;
  for (const std::string& name : names) {
    regions.push_back(TRY(manifest::RegionId::parse(name)));
    if (std::count(names.begin(), names.end(), name) > 1)
      return fail(ErrorCode::kInvalidArgument, "region {} is named twice", name);
  }
  return regions;
}

// The newest image of each region that the car does not have yet.
Answer<std::vector<OrderedImage>> resolve_regions(CarAffairs& affairs,
                                                  const std::vector<manifest::RegionId>& regions) {
  const std::optional<VehicleState> state =
      TRY(load_vehicle_state(affairs.change(), affairs.car().vin));
  std::vector<OrderedImage> images;
  std::vector<Reason> unknown;
  for (const manifest::RegionId& region : regions) {
    const std::optional<Image> newest =
        TRY(newest_for_car(affairs.services().store, affairs.car(), manifest::Slot::map(region)));
    if (!newest)
      unknown.push_back(
          {"region", fmt::format("there is no map of {} for this car", region.text())});
    else if (is_newer(*newest, state ? &*state : nullptr))
      images.push_back({.name = newest->entry.name, .sha256 = newest->entry.sha256});
  }
  if (!unknown.empty())
    return refuse(RefusalCode::kUnknownRegion, "not all regions are known", std::move(unknown));
  if (images.empty())
    return refuse(RefusalCode::kUpToDate, "the car has the newest map of these regions");
  return images;
}

Answer<Order> order_map(CarAffairs& affairs, const OrderRequest& wanted,
                        const std::string& account) {
  const Answer<std::vector<manifest::RegionId>> regions =
      read_regions(wanted.regions, wanted.delivery);
  if (!regions) return tl::unexpected(regions.error());
  Answer<std::vector<OrderedImage>> images = resolve_regions(affairs, *regions);
  if (!images) return tl::unexpected(std::move(images.error()));
  const std::vector<Order> orders = TRY(load_orders(affairs.change(), wanted.vin));
  for (const OrderedImage& image : *images) {
    if (Answer<void> fine = check_not_under_way(orders, image.slot); !fine)
      return tl::unexpected(std::move(fine.error()));
  }
  Order order = make_order(affairs, wanted.kind, account);
  order.regions = wanted.regions;
  order.delivery = wanted.delivery;
  order.images = std::move(*images);
  return TRY(place_order(affairs, std::move(order)));
}

// What the owner says of an order that the car has, but can install no more: the Director holds it
// back, because an image of it was withdrawn.
Result<OrderCause> cause_now(Change& change, const Order& order, OrderCause cause) {
  if (cause != OrderCause::kOwnerCancels || order.phase != OrderPhase::kDownloaded) return cause;
  for (const OrderedImage& ordered : order.images) {
    const std::optional<Image> published =
        TRY(image([&](std::string_view key) { return change.get(key); }, ordered.name.text()));
    if (!published || published->listing != Listing::kListed) return OrderCause::kImageWithdrawn;
  }
  return cause;
}

// What a partner stages in the workshop is the owner's order: whoever owns the car sees and may
// cancel it. Software and functions are nothing that a partner orders.
Answer<Order> order_offline(const Services& services, Change& change, const Caller& caller,
                            const OrderRequest& wanted) {
  if (caller.role != Role::kPartner && caller.role != Role::kOperator)
    return fail(ErrorCode::kForbidden, "a delivery offline is for a partner to prepare");
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, wanted.vin, caller.account));
  if (!affairs.car().pairing) return fail(ErrorCode::kForbidden, "the car has no owner");
  const std::string owner = affairs.car().pairing->owner;
  return order_map(affairs, wanted, owner);
}

// Cancel and withdraw: the owner's word on an order that is there.
Answer<Response> owner_says(const Services& services, const Request& request, OrderCause cause,
                            Answer<void> (*check)(const Order&, UnixSeconds)) {
  const Caller caller = TRY(require_account(services, request));
  const std::string& id = request.path_values.at("id");
  const manifest::Vin vin = TRY(find_order_vin(services.store, id));
  return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
    Answer<OwnersOrder> own = load_as_owner(services, change, vin, id, caller);
    if (!own) return tl::unexpected(std::move(own.error()));
    auto& [affairs, order] = *own;
    if (Answer<void> fine = check(order, affairs.now()); !fine)
      return tl::unexpected(std::move(fine.error()));
    if (order.held)
      return refuse(RefusalCode::kReportedStolen,
                    "the car is reported stolen: this stays until the report is lifted");
    const OrderCause now = TRY(cause_now(change, order, cause));
    switch (TRY(apply_cause(affairs, order, now, Json::object()))) {
      case OrderStep::Kind::kMove:
      case OrderStep::Kind::kStay: return json_response(200, order_json(order, OrderView::kFull));
      case OrderStep::Kind::kTooLate:
        return refuse(RefusalCode::kTooLate, "the car has downloaded it: too late to cancel");
      case OrderStep::Kind::kWrong: break;
    }
    return refuse(RefusalCode::kWrongState, fmt::format("the order is {}", to_string(order.phase)));
  });
}

}  // namespace

Answer<Order> order_regions(CarAffairs& affairs, const std::vector<std::string>& names,
                            const std::string& account) {
  const OrderRequest wanted{.vin = affairs.car().vin,
                            .kind = manifest::ImageKind::kMap,
                            .product = {},
                            .auto_renew = {},
                            .regions = names,
                            .delivery = manifest::Delivery::kOverTheAir};
  return order_map(affairs, wanted, account);
}

Result<std::optional<Image>> newest_for_car(const Store& store, const Car& car,
                                            const manifest::Slot& slot) {
  for (const CarEcu* ecu : car.ecus_of(slot)) {
    std::optional<Image> newest = TRY(newest_image(store, slot, ecu->hardware_id));
    if (newest) return newest;
  }
  return std::nullopt;
}

bool is_newer(const Image& image, const VehicleState* state) {
  if (state == nullptr) return true;
  const auto found = state->installed.find(image.entry.facts.slot);
  return found == state->installed.end() ||
         found->second.release_counter < image.entry.facts.release_counter;
}

Answer<void> check_not_under_way(const std::vector<Order>& orders, const manifest::Slot& slot) {
  // One more could not be seen among those that are loaded.
  if (orders.size() >= kOpenOrdersMax)
    return fail(ErrorCode::kConflict,
                "{} orders of the car are open: cancel one, or wait until one "
                "is done",
                orders.size());
  for (const Order& order : orders) {
    if (!is_under_way(order.phase)) continue;
    for (const OrderedImage& image : order.images) {
      if (image.slot == slot)
        return refuse(RefusalCode::kAlreadyOrdered,
                      fmt::format("order {} for {} is under way", order.id.text(), slot.text()));
    }
  }
  return {};
}

Response post_order(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_account(services, request));
    const OrderRequest wanted = TRY(read_order(request));
    const auto place = [&](Change& change) -> Answer<Response> {
      if (wanted.delivery == manifest::Delivery::kOffline) {
        const Answer<Order> order = order_offline(services, change, caller, wanted);
        if (!order) return tl::unexpected(order.error());
        return json_response(201, order_json(*order, OrderView::kFull));
      }
      Answer<CarAffairs> affairs = begin_as_owner(services, change, wanted.vin, caller);
      if (!affairs) return tl::unexpected(std::move(affairs.error()));
      const Answer<Order> order = wanted.kind == manifest::ImageKind::kFunction
                                      ? order_function(*affairs, wanted, caller.account)
                                      : order_map(*affairs, wanted, caller.account);
      if (!order) return tl::unexpected(order.error());
      return json_response(201, order_json(*order, OrderView::kFull));
    };
    Answer<Response> answer = answer_once(services, request, caller, IdempotencyKeyIs::kRequired,
                                          AnswerHolds::kNoSecret, place);
    if (answer) services.wake_sweeper();
    return answer;
  }());
}

Response post_cancel(const Services& services, const Request& request) {
  return to_response(owner_says(services, request, OrderCause::kOwnerCancels,
                                [](const Order&, UnixSeconds) -> Answer<void> { return {}; }));
}

Response post_withdraw(const Services& services, const Request& request) {
  const auto check = [](const Order& order, UnixSeconds now) -> Answer<void> {
    if (!order.withdraw_by)
      return refuse(RefusalCode::kNotWithdrawable, "this product cannot be withdrawn from");
    // What was withdrawn in time stays so, also when the owner says it again later.
    if (order.phase == OrderPhase::kCancelling || order.phase == OrderPhase::kDeactivating ||
        order.phase == OrderPhase::kRefunded || order.phase == OrderPhase::kCancelled)
      return {};
    if (now >= *order.withdraw_by)
      return refuse(RefusalCode::kTooLate, fmt::format("the time to withdraw ended at {}",
                                                       format_utc(*order.withdraw_by)));
    return {};
  };
  return to_response(owner_says(services, request, OrderCause::kOwnerWithdraws, check));
}

}  // namespace layby::server
