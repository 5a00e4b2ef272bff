#include "server/shop/obsolete_order.h"

#include <algorithm>

#include "manifest/json_value.h"
#include "server/release/image.h"
#include "server/shop/order_change.h"

namespace layby::server {

namespace {

bool fits_an_ecu(const Image& image, const Car& car) {
  const auto& ids = image.entry.hardware_ids;
  return std::ranges::any_of(car.ecus_of(image.entry.facts.slot), [&](const CarEcu* ecu) {
    return std::ranges::find(ids, ecu->hardware_id) != ids.end();
  });
}

// Empty while the car can have it.
Result<std::string> why_obsolete(CarAffairs& affairs, const Order& order) {
  for (const OrderedImage& ordered : order.images) {
    const std::string& name = ordered.name.text();
    const std::optional<Image> published =
        TRY(image([&](std::string_view key) { return affairs.change().get(key); }, name));
    if (!published || published->listing != Listing::kListed) return name + " is withdrawn";
    if (!fits_an_ecu(*published, affairs.car())) return name + " fits no ECU of the car any more";
  }
  return std::string();
}

}  // namespace

Result<void> end_obsolete_orders(CarAffairs& affairs) {
  for (Order& order : TRY(load_orders(affairs.change(), affairs.car().vin))) {
    const bool may_end = is_coming(order.phase) && order.phase != OrderPhase::kActivating;
    if (order.kind != manifest::ImageKind::kSoftware || !may_end) continue;
    const std::string why = TRY(why_obsolete(affairs, order));
    if (!why.empty())
      TRY_VOID(apply_cause(affairs, order, OrderCause::kObsolete, {{"reason", why}}));
  }
  return {};
}

bool is_for_newer_ecu(const Order& order, const Car& car) {
  return std::ranges::any_of(order.images, [&](const OrderedImage& image) {
    return std::ranges::any_of(car.ecus_of(image.slot),
                               [&](const CarEcu* ecu) { return ecu->since > order.ordered; });
  });
}

}  // namespace layby::server
