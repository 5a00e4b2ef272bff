#include "server/shop/routes.h"

#include "server/shop/catalogue_routes.h"
#include "server/shop/map_request.h"
#include "server/shop/offline_package.h"
#include "server/shop/ordering.h"
#include "server/shop/renewal_routes.h"
#include "server/shop/stolen_routes.h"

namespace layby::server {

void add_shop_routes(Router& router, const Services& services) {
  const auto add = [&](Method method, const char* path,
                       Response (*handler)(const Services&, const Request&)) {
    router.add(
        {.method = method, .path = path, .handler = [&services, handler](const Request& request) {
           return handler(services, request);
         }});
  };
  add(Method::kPut, "/v1/catalogue/products/{id}", put_product);
  add(Method::kGet, "/v1/catalogue/products", get_products);
  add(Method::kGet, "/v1/cars/{vin}/offers", get_offers);
  add(Method::kPost, "/v1/orders", post_order);
  add(Method::kGet, "/v1/orders/{id}", get_order);
  add(Method::kGet, "/v1/cars/{vin}/orders", get_car_orders);
  add(Method::kPost, "/v1/cars/{vin}/offline-package", post_offline_package);
  add(Method::kPost, "/v1/orders/{id}/cancel", post_cancel);
  add(Method::kPost, "/v1/vehicle/map-requests", post_map_request);
  add(Method::kPost, "/v1/orders/{id}/withdraw", post_withdraw);
  add(Method::kPut, "/v1/orders/{id}/renewal", put_renewal);
  add(Method::kPost, "/v1/orders/{id}/renew", post_renew);
  add(Method::kPost, "/v1/cars/{vin}/stolen", post_stolen);
  add(Method::kDelete, "/v1/cars/{vin}/stolen", delete_stolen);
}

}  // namespace layby::server
