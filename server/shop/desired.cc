#include "server/shop/desired.h"

#include "manifest/director.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

struct Desired {
  std::uint64_t revision = 0;
  Json orders = Json::array();
};

Result<Desired> decode(const std::string& key, const std::optional<std::string>& text) {
  if (!text) return Desired{};
  const Json json = TRY(parse_stored(key, *text));
  auto revision = TRY(manifest::uint_field(json, "revision"));
  auto orders = *TRY(manifest::array_field(json, "orders"));
  return Desired{.revision = std::move(revision), .orders = std::move(orders)};
}

Result<Desired> load(CarAffairs& affairs) {
  const std::string key = desired_key(affairs.car().vin);
  return decode(key, TRY(affairs.change().get(key)));
}

void save(CarAffairs& affairs, const Desired& desired) {
  affairs.change().put(desired_key(affairs.car().vin),
                       to_stored({{"revision", desired.revision + 1}, {"orders", desired.orders}}));
  affairs.outdate_metadata();
}

Json::iterator find(Json& orders, const manifest::OrderId& id) {
  auto at = orders.begin();
  while (at != orders.end() && manifest::text_field(*at, "id") != id.text()) ++at;
  return at;
}

Result<void> set(CarAffairs& affairs, const manifest::OrderId& id, const Json& entry) {
  Desired desired = TRY(load(affairs));
  const auto found = find(desired.orders, id);
  if (found == desired.orders.end())
    desired.orders.push_back(entry);
  else
    *found = entry;
  save(affairs, desired);
  return {};
}

Json without_images(const Order& order, manifest::OrderAction action, const std::string& licence) {
  return {{"id", order.id.text()},
          {"action", std::string(manifest::to_string(action))},
          {"images", Json::array()},
          {"licence", licence}};
}

}  // namespace

std::string desired_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "desired";
}

Result<void> desire_install(CarAffairs& affairs, const Order& order,
                            const std::vector<manifest::ImageName>& images,
                            const std::string& licence) {
  Json names = Json::array();
  for (const manifest::ImageName& image : images) names.push_back(image.text());
  Json entry{{"id", order.id.text()}, {"action", "install"}, {"images", std::move(names)}};
  if (!licence.empty()) entry["licence"] = licence;
  if (order.delivery != manifest::Delivery::kOverTheAir)
    entry["delivery"] = std::string(manifest::to_string(order.delivery));
  return set(affairs, order.id, entry);
}

Result<void> desire_licence(CarAffairs& affairs, const Order& order, const std::string& licence) {
  return set(affairs, order.id, without_images(order, manifest::OrderAction::kLicence, licence));
}

Result<void> desire_deactivation(CarAffairs& affairs, const Order& order,
                                 const std::string& licence) {
  return set(affairs, order.id, without_images(order, manifest::OrderAction::kDeactivate, licence));
}

Result<void> drop_desired(CarAffairs& affairs, const manifest::OrderId& id) {
  Desired desired = TRY(load(affairs));
  const auto found = find(desired.orders, id);
  if (found == desired.orders.end()) return {};
  desired.orders.erase(found);
  save(affairs, desired);
  return {};
}

Result<std::vector<std::string>> desired_installs(const Store& store, const manifest::Vin& vin) {
  const std::string key = desired_key(vin);
  const Desired desired = TRY(decode(key, TRY(store.get(key))));
  std::vector<std::string> ids;
  for (const Json& entry : desired.orders) {
    if (TRY(manifest::text_field(entry, "action")) == "install")
      ids.push_back(TRY(manifest::text_field(entry, "id")));
  }
  return ids;
}

Result<std::vector<std::string>> images_to_install(CarAffairs& affairs,
                                                   const manifest::OrderId& id) {
  Desired desired = TRY(load(affairs));
  const auto found = find(desired.orders, id);
  const bool is_install =
      found != desired.orders.end() && TRY(manifest::text_field(*found, "action")) == "install";
  std::vector<std::string> names;
  if (is_install)
    for (const Json& name : *TRY(manifest::array_field(*found, "images")))
      names.push_back(name.get<std::string>());
  return names;
}

Result<bool> is_desired(CarAffairs& affairs, const manifest::OrderId& id) {
  Desired desired = TRY(load(affairs));
  return find(desired.orders, id) != desired.orders.end();
}

}  // namespace layby::server
