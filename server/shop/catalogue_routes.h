// The catalogue, offers and orders to be looked at.
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

Response put_product(const Services& services, const Request& request);
Response get_products(const Services& services, const Request& request);
Response get_offers(const Services& services, const Request& request);
Response get_order(const Services& services, const Request& request);
Response get_car_orders(const Services& services, const Request& request);

}  // namespace layby::server
