#include "server/shop/order.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/car.h"
#include "server/fleet/json_answer.h"
#include "server/shop/order_due.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr Money kMoneys[] = {Money::kNone, Money::kAuthorised, Money::kBilled, Money::kReturned,
                             Money::kRefunded};

Result<Money> parse_money(std::string_view text) {
  for (const Money money : kMoneys) {
    if (to_string(money) == text) return money;
  }
  return fail(ErrorCode::kBadFormat, "money \"{}\"", text);
}

Result<std::optional<UnixSeconds>> optional_time(const Json& json, std::string_view name) {
  if (!manifest::find_field(json, name)) return std::nullopt;
  return TRY(manifest::time_field(json, name));
}

// From a change or a store.
template <typename From>
Result<Order> load_from(From& from, const manifest::Vin& vin, std::string_view id) {
  for (const std::string& key : {order_key(vin, id), past_order_key(vin, id)}) {
    const std::optional<std::string> text = TRY(from.get(key));
    if (text) return decode_order(*text);
  }
  return fail(ErrorCode::kNotFound, "no order {}", id);
}

Result<std::vector<Order>> decode_all(const std::vector<KeyValue>& entries) {
  std::vector<Order> orders;
  for (const KeyValue& entry : entries) orders.push_back(TRY(decode_order(entry.value)));
  return orders;
}

Json history_json(const Order& order, OrderView view) {
  Json history = Json::array();
  for (const OrderHistory& step : order.history) {
    Json entry{{"state", std::string(to_string(step.phase))},
               {"at", format_utc(step.at)},
               {"cause", step.cause}};
    if (view == OrderView::kFull) entry["who"] = step.who;
    history.push_back(std::move(entry));
  }
  return history;
}

Json exchange_json(const KeyExchange& exchange) {
  Json json{{"image", exchange.release.name.text()},
            {"digest", to_hex(exchange.release.sha256)},
            {"licences", exchange.licences}};
  if (exchange.obeyed) json["obeyed"] = exchange.obeyed->text();
  return json;
}

// The part of the record that is nobody's business outside.
Json inner_json(const Order& order) {
  Json digests = Json::array();
  for (const OrderedImage& image : order.images) digests.push_back(to_hex(image.sha256));
  Json inner{{"account", order.account},
             {"digests", std::move(digests)},
             {"licence_counter", order.licence_counter},
             {"licence_first", order.licence_first},
             {"licence_issued", format_utc(order.licence_issued)},
             {"licence_for", order.licence_for},
             {"zone", order.zone.name()},
             {"noted", format_utc(order.noted)},
             {"held", order.held},
             {"revoked", order.revoked}};
  Json secondaries = Json::array();
  for (const OrderedImage& image : order.images)
    if (image.slot.is_secondary()) secondaries.push_back(image.slot.text());
  if (!secondaries.empty()) inner["secondary_slots"] = std::move(secondaries);
  Json licences = Json::array();
  for (const Period& period : order.periods) licences.push_back(period.licence);
  inner["period_licences"] = std::move(licences);
  if (order.indexed) inner["indexed"] = format_utc(*order.indexed);
  if (order.function) inner["function"] = order.function->text();
  if (order.exchange) inner["exchange"] = exchange_json(*order.exchange);
  if (!order.conditions.empty()) inner["conditions"] = order.conditions;
  return inner;
}

// One image of an order for each slot: the slot finds its image.
Result<void> decode_secondary_slots(const Json& json, Order& order) {
  for (const std::string& text : TRY(texts_field(json, "secondary_slots", 1000))) {
    const manifest::Slot slot = TRY(manifest::Slot::parse(text));
    for (OrderedImage& image : order.images)
      if (image.name.may_go_to(slot)) image.slot = slot;
  }
  return {};
}

Result<KeyExchange> decode_exchange(const Json& json) {
  auto name = TRY(manifest::text_field(json, "image").and_then(manifest::ImageName::parse));
  const auto sha256 = TRY(manifest::text_field(json, "digest").and_then(array_from_hex<32>));
  KeyExchange exchange{.release = {.name = std::move(name), .sha256 = sha256}};
  if (manifest::find_field(json, "obeyed"))
    exchange.obeyed =
        TRY(manifest::text_field(json, "obeyed").and_then(manifest::ImageName::parse));
  for (const Json& number : *TRY(manifest::array_field(json, "licences"))) {
    if (!number.is_number_unsigned())
      return fail(ErrorCode::kCorrupt, "the licences of a key's exchange are no numbers");
    exchange.licences.push_back(number.get<std::uint64_t>());
  }
  return exchange;
}

Result<void> decode_inner(const Json& json, Order& order) {
  order.account = TRY(manifest::text_field(json, "account"));
  order.licence_counter = TRY(manifest::uint_field(json, "licence_counter"));
  order.licence_for = TRY(manifest::text_field(json, "licence_for"));
  order.licence_first = TRY(manifest::uint_field(json, "licence_first"));
  order.licence_issued = TRY(manifest::time_field(json, "licence_issued"));
  order.zone = TRY(manifest::text_field(json, "zone").and_then(TimeZone::find));
  order.noted = TRY(manifest::time_field(json, "noted"));
  order.held = TRY(flag_field(json, "held")).value_or(false);
  order.revoked = TRY(flag_field(json, "revoked")).value_or(false);
  order.indexed = TRY(optional_time(json, "indexed"));
  const Json& licences = *TRY(manifest::array_field(json, "period_licences"));
  if (licences.size() != order.periods.size())
    return fail(ErrorCode::kCorrupt, "order {}: periods", order.id.text());
  for (std::size_t i = 0; i < licences.size(); ++i) {
    if (!licences[i].is_number_unsigned())
      return fail(ErrorCode::kCorrupt, "order {}: periods", order.id.text());
    order.periods[i].licence = licences[i].get<std::uint64_t>();
  }
  if (manifest::find_field(json, "function"))
    order.function =
        TRY(manifest::text_field(json, "function").and_then(manifest::FunctionId::parse));
  if (const Json* exchange = manifest::find_field(json, "exchange"))
    order.exchange = TRY(decode_exchange(*exchange));
  if (manifest::find_field(json, "conditions"))
    order.conditions = TRY(manifest::text_field(json, "conditions"));
  const std::vector<std::string> digests = TRY(texts_field(json, "digests", 1000));
  if (digests.size() != order.images.size())
    return fail(ErrorCode::kCorrupt, "order {}: digests", order.id.text());
  for (std::size_t i = 0; i < digests.size(); ++i)
    order.images[i].sha256 = TRY(array_from_hex<32>(digests[i]));
  return decode_secondary_slots(json, order);
}

Result<void> decode_history(const Json& json, Order& order) {
  for (const Json& step : *TRY(manifest::array_field(json, "history"))) {
    auto phase = TRY(manifest::text_field(step, "state").and_then(parse_order_phase));
    auto at = TRY(manifest::time_field(step, "at"));
    auto who = TRY(manifest::text_field(step, "who"));
    auto cause = TRY(manifest::text_field(step, "cause"));
    order.history.push_back({.phase = std::move(phase),
                             .at = std::move(at),
                             .who = std::move(who),
                             .cause = std::move(cause)});
  }
  return {};
}

Result<void> decode_periods(const Json& json, Order& order) {
  if (!manifest::find_field(json, "periods")) return {};
  for (const Json& entry : *TRY(manifest::array_field(json, "periods"))) {
    Period period;
    period.number = TRY(manifest::uint_field(entry, "period"));
    period.from = TRY(optional_time(entry, "from"));
    period.until = TRY(optional_time(entry, "until"));
    period.money = TRY(manifest::text_field(entry, "money").and_then(parse_money));
    order.periods.push_back(std::move(period));
  }
  return {};
}

Result<void> decode_details(const Json& json, Order& order) {
  if (manifest::find_field(json, "product"))
    order.product = TRY(manifest::text_field(json, "product"));
  order.regions = TRY(texts_field(json, "regions", 1000));
  for (const std::string& text : TRY(texts_field(json, "images", 1000, 200))) {
    manifest::ImageName name = TRY(manifest::ImageName::parse(text));
    order.images.push_back({.name = std::move(name), .sha256 = {}});
  }
  if (manifest::find_field(json, "delivery"))
    order.delivery = TRY(manifest::text_field(json, "delivery").and_then(manifest::parse_delivery));
  order.price.cents = TRY(manifest::uint_field(json, "amount_cents"));
  if (manifest::find_field(json, "currency"))
    order.price.currency = TRY(manifest::text_field(json, "currency"));
  TRY_VOID(decode_periods(json, order));
  order.renewable = TRY(flag_field(json, "renewable")).value_or(false);
  order.auto_renew = TRY(flag_field(json, "auto_renew")).value_or(false);
  order.protects = TRY(flag_field(json, "protects")).value_or(false);
  if (const Json* term = manifest::find_field(json, "term")) order.term = TRY(read_term(*term));
  order.downloaded = TRY(optional_time(json, "downloaded"));
  order.withdraw_by = TRY(optional_time(json, "withdraw_by"));
  order.active_until = TRY(optional_time(json, "active_until"));
  if (const Json* error = manifest::find_field(json, "error")) {
    auto code = TRY(manifest::uint_field(*error, "code"));
    auto name = TRY(manifest::text_field(*error, "name"));
    auto text = TRY(manifest::text_field(*error, "text"));
    order.error = manifest::ErrorReport{
        .code = std::move(code), .name = std::move(name), .text = std::move(text)};
  }
  return {};
}

Json period_json(const Period& period) {
  Json json{{"period", period.number}, {"money", std::string(to_string(period.money))}};
  if (period.from) json["from"] = format_utc(*period.from);
  if (period.until) json["until"] = format_utc(*period.until);
  return json;
}

void add_money(const Order& order, Json& json) {
  json["amount_cents"] = order.price.cents;
  json["money"] = std::string(to_string(money_of(order)));
  if (!order.price.currency.empty()) json["currency"] = order.price.currency;
  if (order.protects) json["protects"] = true;
  if (order.periods.empty()) return;
  Json periods = Json::array();
  for (const Period& period : order.periods) periods.push_back(period_json(period));
  json["periods"] = std::move(periods);
  if (!order.renewable) return;
  json["renewable"] = true;
  json["auto_renew"] = order.auto_renew;
  if (const std::optional<UnixSeconds> at = next_charge(order)) {
    json["next_charge"] = {{"at", format_utc(*at)}, {"amount_cents", order.price.cents}};
    if (!order.price.currency.empty()) json["next_charge"]["currency"] = order.price.currency;
  }
}

}  // namespace

std::string order_prefix(const manifest::Vin& vin) {
  return car_prefix(vin) + "order/";
}

std::string order_key(const manifest::Vin& vin, std::string_view id) {
  return order_prefix(vin) + std::string(id);
}

std::string past_order_prefix(const manifest::Vin& vin) {
  return car_prefix(vin) + "past/";
}

std::string past_order_key(const manifest::Vin& vin, std::string_view id) {
  return past_order_prefix(vin) + std::string(id);
}

bool is_over(const Order& order) {
  const bool revoking =
      order.phase == OrderPhase::kFailed && order.licence_counter > 0 && !order.revoked;
  return is_final(order.phase) && !revoking;
}

std::string settled_software_key(const manifest::Vin& vin, const crypto::Digest256& image) {
  return car_prefix(vin) + "settled/" + to_hex(image);
}

std::string had_inclusive_key(const manifest::Vin& vin, const manifest::FunctionId& function) {
  return car_prefix(vin) + "had-inclusive/" + function.text();
}

std::string order_lookup_key(std::string_view id) {
  return "o/" + std::string(id);
}

std::string_view to_string(Money money) {
  switch (money) {
    case Money::kNone: return "none";
    case Money::kAuthorised: return "authorised";
    case Money::kBilled: return "billed";
    case Money::kReturned: return "returned";
    case Money::kRefunded: return "refunded";
  }
  LAYBY_ASSERT(false);
}

Money money_of(const Order& order) {
  return order.periods.empty() ? Money::kNone : order.periods.back().money;
}

std::optional<UnixSeconds> contract_end(const Order& order) {
  return order.periods.empty() ? std::nullopt : order.periods.back().until;
}

Json order_json(const Order& order, OrderView view) {
  Json images = Json::array();
  for (const OrderedImage& image : order.images) images.push_back(image.name.text());
  Json json{{"id", order.id.text()},
            {"vin", order.vin.text()},
            {"kind", std::string(manifest::to_string(order.kind))},
            {"images", std::move(images)},
            {"state", std::string(to_string(order.phase))}};
  if (order.product) json["product"] = *order.product;
  if (!order.regions.empty()) json["regions"] = order.regions;
  if (order.delivery != manifest::Delivery::kOverTheAir)
    json["delivery"] = std::string(manifest::to_string(order.delivery));
  if (order.term) json["term"] = term_json(*order.term);
  if (order.active_until) json["active_until"] = format_utc(*order.active_until);
  if (view == OrderView::kInherited) return json;
  json["since"] = format_utc(order.since);
  json["ordered"] = format_utc(order.ordered);
  json["download_by"] = format_utc(order.download_by);
  json["history"] = history_json(order, view);
  if (view == OrderView::kFull) add_money(order, json);
  if (order.downloaded) json["downloaded"] = format_utc(*order.downloaded);
  if (order.withdraw_by) json["withdraw_by"] = format_utc(*order.withdraw_by);
  if (order.error)
    json["error"] = {
        {"code", order.error->code}, {"name", order.error->name}, {"text", order.error->text}};
  return json;
}

std::string encode_order(const Order& order) {
  Json json = order_json(order, OrderView::kFull);
  json["inner"] = inner_json(order);
  return to_stored(json);
}

Result<Order> decode_order(std::string_view text) {
  const Json json = TRY(parse_stored("order", text));
  auto id = TRY(manifest::text_field(json, "id").and_then(manifest::OrderId::parse));
  auto vin = TRY(manifest::text_field(json, "vin").and_then(manifest::Vin::parse));
  auto kind = TRY(manifest::text_field(json, "kind").and_then(manifest::parse_image_kind));
  auto phase = TRY(manifest::text_field(json, "state").and_then(parse_order_phase));
  auto since = TRY(manifest::time_field(json, "since"));
  auto ordered = TRY(manifest::time_field(json, "ordered"));
  auto download_by = TRY(manifest::time_field(json, "download_by"));
  Order order{.id = std::move(id),
              .vin = std::move(vin),
              .kind = std::move(kind),
              .account = {},
              .product = {},
              .function = {},
              .regions = {},
              .images = {},
              .delivery = manifest::Delivery::kOverTheAir,
              .phase = std::move(phase),
              .since = std::move(since),
              .ordered = std::move(ordered),
              .download_by = std::move(download_by),
              .downloaded = {},
              .zone = TimeZone::utc(),
              .price = {},
              .periods = {},
              .term = {},
              .renewable = false,
              .auto_renew = false,
              .protects = false,
              .held = false,
              .revoked = false,
              .withdraw_by = {},
              .active_until = {},
              .licence_counter = 0,
              .licence_first = 0,
              .licence_issued = 0,
              .licence_for = {},
              .noted = 0,
              .indexed = {},
              .error = {},
              .conditions = {},
              .history = {}};
  TRY_VOID(decode_details(json, order));
  TRY_VOID(decode_history(json, order));
  const Json& inner = *TRY(manifest::object_field(json, "inner"));
  TRY_VOID(decode_inner(inner, order));
  return order;
}

Result<Order> load_order(Change& change, const manifest::Vin& vin, std::string_view id) {
  return load_from(change, vin, id);
}

Result<Order> load_order(const Store& store, const manifest::Vin& vin, std::string_view id) {
  return load_from(store, vin, id);
}

Result<manifest::Vin> find_order_vin(const Store& store, std::string_view id) {
  const std::optional<std::string> vin = TRY(store.get(order_lookup_key(id)));
  if (!vin) return fail(ErrorCode::kNotFound, "no order {}", id);
  return manifest::Vin::parse(*vin);
}

Result<std::vector<Order>> load_orders(Change& change, const manifest::Vin& vin) {
  const std::string prefix = order_prefix(vin);
  return decode_all(TRY(change.scan(prefix, after_prefix(prefix), kOpenOrdersMax)));
}

Result<std::vector<Order>> load_orders(const Store& store, const manifest::Vin& vin) {
  const std::string prefix = order_prefix(vin);
  return decode_all(TRY(store.scan(prefix, after_prefix(prefix), kOpenOrdersMax)));
}

Result<std::vector<Order>> list_orders(const Store& store, const manifest::Vin& vin,
                                       const std::string& after, std::size_t limit) {
  std::vector<Order> orders;
  for (const std::string& prefix : {order_prefix(vin), past_order_prefix(vin)}) {
    const std::string begin = after.empty() ? prefix : prefix + after + '\0';
    for (Order& order : TRY(decode_all(TRY(store.scan(begin, after_prefix(prefix), limit)))))
      orders.push_back(std::move(order));
  }
  // Ids begin with their time.
  std::sort(orders.begin(), orders.end(),
            [](const Order& a, const Order& b) { return a.id.text() < b.id.text(); });
  // One that went from the one to the other between the two scans.
  const auto same = [](const Order& a, const Order& b) { return a.id == b.id; };
  orders.erase(std::unique(orders.begin(), orders.end(), same), orders.end());
  if (orders.size() > limit)
    orders.erase(orders.begin() + static_cast<std::ptrdiff_t>(limit), orders.end());
  return orders;
}

}  // namespace layby::server
