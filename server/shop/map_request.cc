#include "server/shop/map_request.h"

#include <algorithm>

#include "base/limits.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/json_answer.h"
#include "server/shop/ordering.h"

namespace layby::server {

using manifest::Json;

namespace {

// Far above what is allowed, so that too many are refused as such.
constexpr std::size_t kNamedRegionsMax = 1000;

Result<std::vector<std::string>> read_wish(const Request& request) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"regions"}));
  return texts_field(body, "regions", kNamedRegionsMax);
}

bool is_under_way(const Order& order) {
  return order.kind == manifest::ImageKind::kMap && order.phase != OrderPhase::kActive &&
         !is_final(order.phase);
}

// A car may be where there is no map yet: that is no reason to refuse the other regions.
Answer<std::vector<std::string>> with_news(CarAffairs& affairs,
                                           const std::vector<std::string>& wished) {
  const std::optional<VehicleState> state =
      TRY(load_vehicle_state(affairs.change(), affairs.car().vin));
  std::vector<std::string> regions;
  for (const std::string& name : wished) {
    const auto slot = manifest::Slot::map(TRY(manifest::RegionId::parse(name)));
    const std::optional<Image> newest =
        TRY(newest_for_car(affairs.services().store, affairs.car(), slot));
    if (newest && is_newer(*newest, state ? &*state : nullptr)) regions.push_back(name);
  }
  return regions;
}

Answer<Response> take(const Services& services, Change& change, const manifest::Vin& vin,
                      const std::vector<std::string>& wished) {
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, vin.text()));
  if (!affairs.car().pairing) return fail(ErrorCode::kForbidden, "the car has no owner");
  const std::vector<Order> orders = TRY(load_orders(change, vin));
  const auto under_way = std::find_if(orders.begin(), orders.end(), is_under_way);
  if (under_way != orders.end())
    return refuse(RefusalCode::kAlreadyOrdered,
                  fmt::format("map order {} is under way", under_way->id.text()));
  const Answer<std::vector<std::string>> regions = with_news(affairs, wished);
  if (!regions) return tl::unexpected(regions.error());
  if (regions->empty()) return json_response(200, Json::object());
  const Answer<Order> order = order_regions(affairs, *regions, affairs.car().pairing->owner);
  if (!order) return tl::unexpected(order.error());
  return json_response(201, {{"id", order->id.text()}, {"regions", order->regions}});
}

}  // namespace

Response post_map_request(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const manifest::Vin vin = TRY(require_vehicle(services, request));
    const std::vector<std::string> wished = TRY(read_wish(request));
    if (wished.empty()) return fail(ErrorCode::kInvalidArgument, "\"regions\": 1 to 3 of them");
    if (wished.size() > kMapRegionsMax)
      return refuse(RefusalCode::kTooManyRegions,
                    fmt::format("at most {} regions in one update", kMapRegionsMax));
    Answer<Response> answer = commit_with_retry(
        services.store,
        [&](Change& change) -> Answer<Response> { return take(services, change, vin, wished); });
    if (answer) services.wake_sweeper();
    return answer;
  }());
}

}  // namespace layby::server
