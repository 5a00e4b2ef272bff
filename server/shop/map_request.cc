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

// What a car thinks matters to it; of these at most kMapRegionsMax are ordered.
constexpr std::size_t kWishedRegionsMax = 16;

struct Wish {
  std::vector<std::string> regions;  // what matters most first
  enum class Start { kOrder, kAnnounce } start = Start::kOrder;
};

Result<Wish> read_wish(const Request& request) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"regions", "start"}));
  Wish wish;
  wish.regions = TRY(texts_field(body, "regions", kWishedRegionsMax));
  if (wish.regions.empty())
    return fail(ErrorCode::kInvalidArgument, "\"regions\": 1 to {} of them", kWishedRegionsMax);
  if (!manifest::find_field(body, "start")) return wish;
  const std::string start = TRY(manifest::text_field(body, "start"));
  if (start == "announce")
    wish.start = Wish::Start::kAnnounce;
  else if (start != "order")
    return fail(ErrorCode::kInvalidArgument, "\"start\": \"order\" or \"announce\"");
  return wish;
}

bool is_under_way(const Order& order) {
  return order.kind == manifest::ImageKind::kMap && order.phase != OrderPhase::kActive &&
         !is_final(order.phase);
}

// The first ones of which there is news; the car's home country is wished for last. A car may be
// where there is no map yet: that is no reason to refuse the other regions.
Answer<std::vector<std::string>> with_news(CarAffairs& affairs, std::vector<std::string> wished) {
  const std::string& home = affairs.car().country;
  if (manifest::RegionId::parse(home) &&
      std::find(wished.begin(), wished.end(), home) == wished.end())
    wished.push_back(home);
  const std::optional<VehicleState> state =
      TRY(load_vehicle_state(affairs.change(), affairs.car().vin));
  std::vector<std::string> regions;
  for (const std::string& name : wished) {
    const auto slot = manifest::Slot::map(TRY(manifest::RegionId::parse(name)));
    const std::optional<Image> newest =
        TRY(newest_for_car(affairs.services().store, affairs.car(), slot));
    if (newest && is_newer(*newest, state ? &*state : nullptr)) regions.push_back(name);
    if (regions.size() == kMapRegionsMax) break;
  }
  return regions;
}

Answer<Response> take(const Services& services, Change& change, const manifest::Vin& vin,
                      const Wish& wish) {
  CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, vin.text()));
  // After a hand-over the car is still paired, and nobody is there to order for.
  if (!affairs.car().pairing || affairs.car().pairing->owner.empty())
    return fail(ErrorCode::kForbidden, "the car has no owner");
  const std::vector<Order> orders = TRY(load_orders(change, vin));
  const auto under_way = std::find_if(orders.begin(), orders.end(), is_under_way);
  if (under_way != orders.end())
    return refuse(RefusalCode::kAlreadyOrdered,
                  fmt::format("map order {} is under way", under_way->id.text()));
  const Answer<std::vector<std::string>> regions = with_news(affairs, wish.regions);
  if (!regions) return tl::unexpected(regions.error());
  if (regions->empty()) return json_response(200, Json::object());
  if (wish.start == Wish::Start::kAnnounce) return json_response(200, {{"regions", *regions}});
  const Answer<Order> order = order_regions(affairs, *regions, affairs.car().pairing->owner);
  if (!order) return tl::unexpected(order.error());
  return json_response(201, {{"id", order->id.text()}, {"regions", order->regions}});
}

}  // namespace

Response post_map_request(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const manifest::Vin vin = TRY(require_vehicle(services, request));
    const Wish wish = TRY(read_wish(request));
    Answer<Response> answer = commit_with_retry(
        services.store,
        [&](Change& change) -> Answer<Response> { return take(services, change, vin, wish); });
    if (answer) services.wake_sweeper();
    return answer;
  }());
}

}  // namespace layby::server
