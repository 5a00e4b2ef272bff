#include "manifest/json_value.h"
#include "server/cli/commands.h"
#include "server/cli/idempotency.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

constexpr std::uint64_t kProductBytesMax = 64 * kKiB;

std::string car_path(const std::string& vin) {
  return "/v1/cars/" + encode_segment(vin);
}

std::string order_path(const std::string& id) {
  return "/v1/orders/" + encode_segment(id);
}

Result<void> place_order(Session& session, const Json& body, const NewOrder& order) {
  print_thing(session,
              TRY(session.call_once("/v1/orders", body, key_or_fresh(order.idempotency_key))));
  return {};
}

}  // namespace

std::string with_page(std::string path, const Page& page) {
  char separator = '?';
  if (!page.after.empty()) {
    path += separator;
    path += "after=" + encode_segment(page.after);
    separator = '&';
  }
  if (page.limit > 0) path += fmt::format("{}limit={}", separator, page.limit);
  return path;
}

Result<void> put_product(Session& session, const std::string& id, const std::string& file) {
  const Bytes bytes = TRY(read_file(session.disk(), file, kProductBytesMax));
  const Json product =
      TRY_CONTEXT(manifest::parse_strict(bytes, {.bytes_max = kProductBytesMax}), file);
  const std::string path = "/v1/catalogue/products/" + encode_segment(id);
  print_thing(session, TRY(session.call("PUT", path, product)));
  return {};
}

Result<void> list_products(Session& session, const Page& page) {
  print_list(session, TRY(session.get(with_page("/v1/catalogue/products", page))),
             {{"ID", "id"},
              {"TITLE", "title/en"},
              {"TERM", "term/kind"},
              {"CENTS", "price_cents"},
              {"CURRENCY", "currency"},
              {"IMAGE", "image"}});
  return {};
}

Result<void> show_offers(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.get(car_path(vin) + "/offers")));
  return {};
}

Result<void> order_function(Session& session, const NewOrder& order) {
  Json body{{"vin", order.vin}, {"kind", "function"}, {"product", order.product}};
  if (!order.auto_renew.empty()) body["auto_renew"] = order.auto_renew == "on";
  return place_order(session, body, order);
}

Result<void> order_map(Session& session, const NewOrder& order) {
  const Json body{{"vin", order.vin}, {"kind", "map"}, {"regions", order.regions}};
  return place_order(session, body, order);
}

Result<void> show_order(Session& session, const std::string& id) {
  print_thing(session, TRY(session.get(order_path(id))));
  return {};
}

Result<void> list_orders(Session& session, const std::string& vin, const Page& page) {
  print_list(session, TRY(session.get(with_page(car_path(vin) + "/orders", page))),
             {{"ID", "id"},
              {"KIND", "kind"},
              {"PRODUCT", "product"},
              {"REGIONS", "regions"},
              {"STATE", "state"},
              {"SINCE", "since"},
              {"DOWNLOAD BY", "download_by"},
              {"ACTIVE UNTIL", "active_until"}});
  return {};
}

Result<void> cancel_order(Session& session, const std::string& id) {
  print_thing(session, TRY(session.call("POST", order_path(id) + "/cancel", Json::object())));
  return {};
}

Result<void> withdraw_order(Session& session, const std::string& id) {
  print_thing(session, TRY(session.call("POST", order_path(id) + "/withdraw", Json::object())));
  return {};
}

Result<void> renew_order(Session& session, const Renewal& renewal) {
  print_thing(session, TRY(session.call_once(order_path(renewal.order) + "/renew", Json::object(),
                                             key_or_fresh(renewal.idempotency_key))));
  return {};
}

Result<void> switch_renewal(Session& session, const RenewalSwitch& wanted) {
  print_thing(session, TRY(session.call("PUT", order_path(wanted.order) + "/renewal",
                                        Json{{"auto", wanted.to == "on"}})));
  return {};
}

Result<void> list_events(Session& session, const Page& page) {
  print_list(session, TRY(session.get(with_page("/v1/events", page))),
             {{"ID", "id"},
              {"AT", "at"},
              {"TYPE", "type"},
              {"VIN", "vin"},
              {"ORDER", "order"},
              {"DATA", "data"}});
  return {};
}

Result<void> list_messages(Session& session, const std::string& vin, const Page& page) {
  const std::string path = vin.empty() ? "/v1/messages" : car_path(vin) + "/events";
  print_list(session, TRY(session.get(with_page(path, page))),
             {{"ID", "id"}, {"AT", "at"}, {"MESSAGE", "data/message"}, {"ORDER", "order"}});
  return {};
}

}  // namespace layby::cli
