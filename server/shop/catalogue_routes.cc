#include "server/shop/catalogue_routes.h"

#include <map>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"
#include "server/fleet/stolen.h"
#include "server/release/release_keys.h"
#include "server/shop/ordering.h"
#include "server/shop/owners_order.h"

namespace layby::server {

using manifest::Json;

namespace {

// What is stored is what the operator sent, so that it is shown as it was meant.
Json product_json(const std::string& id, Json stored) {
  stored["id"] = id;
  return stored;
}

std::string product_id(const KeyValue& entry) {
  return entry.key.substr(product_key("").size());
}

Json reasons_json(const std::vector<Reason>& reasons) {
  Json list = Json::array();
  for (const Reason& reason : reasons)
    list.push_back({{"rule", reason.rule}, {"text", reason.text}});
  return list;
}

constexpr std::size_t kSlotsMax = 10'000;

// The newest image of each map slot that there is for a control unit of the car. The keys
// `i/release/<slot>/<hardware>/…` are skipped through: one read for each slot and hardware.
Result<std::map<std::string, Image>> newest_maps(const Store& store, const Car& car) {
  const std::string all = "i/release/map.";
  std::map<std::string, Image> newest;
  std::string begin = all;
  for (std::size_t n = 0; n < kSlotsMax; ++n) {
    const std::vector<KeyValue> next = TRY(store.scan(begin, after_prefix(all), 1));
    if (next.empty()) break;
    const std::string& key = next.front().key;
    const std::size_t slot_at = std::string_view("i/release/").size();
    const std::size_t slot_end = key.find('/', slot_at);
    const std::string slot = key.substr(slot_at, slot_end - slot_at);
    const std::size_t hardware_end = key.find('/', slot_end + 1);
    if (slot_end == std::string::npos || hardware_end == std::string::npos)
      return fail(ErrorCode::kCorrupt, "release key {}", key);
    begin = after_prefix(key.substr(0, hardware_end + 1));
    if (newest.contains(slot)) continue;
    std::optional<Image> found = TRY(newest_for_car(store, car, TRY(manifest::Slot::parse(slot))));
    if (found) newest.emplace(slot, std::move(*found));
  }
  return newest;
}

Result<Json> map_offers(const Store& store, const Car& car, const VehicleState* state) {
  Json maps = Json::array();
  for (const auto& [slot, image] : TRY(newest_maps(store, car))) {
    Json offer{{"region", std::string(image.entry.facts.slot.id())},
               {"newest", image.entry.facts.version},
               {"bytes", image.entry.length},
               {"duration_seconds", image.entry.facts.duration_seconds},
               {"up_to_date", !is_newer(image, state)}};
    if (state != nullptr) {
      const auto installed = state->installed.find(image.entry.facts.slot);
      if (installed != state->installed.end())
        offer["installed"] = std::string(installed->second.image.version());
    }
    maps.push_back(std::move(offer));
  }
  return maps;
}

// What the car has of a product, or is about to have: no more of it than everybody in the car sees.
void add_order(const CarAccess& access, const std::vector<Order>& orders, const Product& product,
               Json& offer) {
  for (const Order& order : orders) {
    if (order.product != product.id || is_final(order.phase)) continue;
    offer["order"] = {{"id", order.id.text()}, {"state", std::string(to_string(order.phase))}};
    if (view_for(access, order) != OrderView::kInherited)
      offer["order"]["since"] = format_utc(order.since);
    if (order.active_until && order.phase == OrderPhase::kActive)
      offer["active_until"] = format_utc(*order.active_until);
  }
}

struct OfferFacts {
  const Store& store;
  const CarAccess& access;
  const VehicleState* state;
  const std::vector<Order>& orders;
  const std::vector<Product>& beside;
  bool stolen;
};

Result<Json> product_offer(const OfferFacts& facts, const std::string& id, Json stored) {
  const Product product = TRY(read_product(id, stored));
  const std::optional<Image> published = TRY(image(facts.store, product.image.text()));
  const bool had_inclusive =
      TRY(facts.store.get(had_inclusive_key(facts.access.car.vin, product.function()))).has_value();
  std::vector<Reason> reasons = check_fit(product, {.car = facts.access.car,
                                                    .state = facts.state,
                                                    .image = published ? &*published : nullptr,
                                                    .orders = facts.orders,
                                                    .beside = facts.beside,
                                                    .had_inclusive = had_inclusive});
  if (facts.stolen && product.protects)
    reasons.push_back({"stolen", "not sold while the car is reported stolen"});
  const manifest::FunctionId function = product.function();
  Json offer{{"product", product_json(id, std::move(stored))},
             {"fits", reasons.empty()},
             {"active", facts.state != nullptr && facts.state->has_active(function)},
             {"reasons", reasons_json(reasons)}};
  add_order(facts.access, facts.orders, product, offer);
  return offer;
}

Result<Json> product_offers(const Store& store, const CarAccess& access,
                            const VehicleState* state) {
  Json offers = Json::array();
  const std::vector<Order> orders = TRY(load_orders(store, access.car.vin));
  const std::vector<Product> beside = TRY(products_beside(store, orders));
  const bool stolen = TRY(load_stolen(store, access.car.vin)).has_value();
  const OfferFacts facts{.store = store,
                         .access = access,
                         .state = state,
                         .orders = orders,
                         .beside = beside,
                         .stolen = stolen};
  const std::string prefix = product_key("");
  for (const KeyValue& entry : TRY(store.scan(prefix, after_prefix(prefix), kPageLimitMax))) {
    Json stored = TRY(parse_stored(entry.key, entry.value));
    offers.push_back(TRY(product_offer(facts, product_id(entry), std::move(stored))));
  }
  return offers;
}

}  // namespace

Response put_product(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const std::string& id = request.path_values.at("id");
    const Json body = TRY(json_body(request));
    TRY_VOID(read_product(id, body));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      const bool is_new = !TRY(change.get(product_key(id)));
      change.put(product_key(id), to_stored(body));
      return json_response(is_new ? 201 : 200, product_json(id, body));
    });
  }());
}

Response get_products(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_account(services, request));
    const Page page = TRY(read_page(request));
    const std::string prefix = product_key("");
    const std::string begin = page.after.empty() ? prefix : product_key(page.after) + '\0';
    Json products = Json::array();
    for (const KeyValue& entry : TRY(services.store.scan(begin, after_prefix(prefix), page.limit)))
      products.push_back(
          product_json(product_id(entry), TRY(parse_stored(entry.key, entry.value))));
    return json_response(200, {{"products", std::move(products)}});
  }());
}

Response get_offers(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    const std::optional<VehicleState> state =
        TRY(load_vehicle_state(services.store, access.car.vin));
    const VehicleState* known = state ? &*state : nullptr;
    Json products = TRY(product_offers(services.store, access, known));
    Json maps = TRY(map_offers(services.store, access.car, known));
    return json_response(200, {{"products", std::move(products)}, {"maps", std::move(maps)}});
  }());
}

Response get_order(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_account(services, request));
    const std::string& id = request.path_values.at("id");
    const manifest::Vin vin = TRY(find_order_vin(services.store, id));
    const Result<CarAccess> access = access_car(services, caller, vin);
    // As if there were no such order: the VIN of somebody else's order is not shown.
    if (!access && access.error().code() == ErrorCode::kNotFound)
      return fail(ErrorCode::kNotFound, "no order {}", id);
    if (!access) return fail(access.error());
    const Order order = TRY(load_order(services.store, vin, id));
    return json_response(200, order_json(order, view_for(*access, order)));
  }());
}

Response get_car_orders(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_car(services, request));
    const Page page = TRY(read_page(request));
    Json orders = Json::array();
    for (const Order& order :
         TRY(list_orders(services.store, access.car.vin, page.after, page.limit)))
      orders.push_back(order_json(order, view_for(access, order)));
    return json_response(200, {{"orders", std::move(orders)}});
  }());
}

}  // namespace layby::server
