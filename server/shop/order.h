// An order, for one car and for ever (P1.3): its record `v/<VIN>/order/<id>`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "manifest/json.h"
#include "manifest/names.h"
#include "manifest/report.h"
#include "manifest/vin.h"
#include "server/shop/order_state.h"
#include "server/shop/term.h"
#include "server/store/change.h"

namespace layby::server {

constexpr UnixSeconds kDownloadWindowSeconds = 28 * kDaySeconds;  // P1.6

// Where the amount of an order is. It only moves forward: none of the last three is ever left.
enum class Money {
  kNone,        // costs nothing
  kAuthorised,  // from ordering on
  kBilled,      // upon the report of the activation
  kReturned,    // given back before it was billed
  kRefunded,    // given back after it was billed
};

struct Price {
  std::uint64_t cents = 0;
  std::string currency;  // ISO 4217; empty where it costs nothing
};

struct OrderedImage {
  manifest::ImageName name;
  crypto::Digest256 sha256;  // what the car must report as installed
};

struct OrderHistory {
  OrderPhase phase = OrderPhase::kOrdered;
  UnixSeconds at = 0;
  std::string who;
  std::string cause;
};

struct Order {
  manifest::OrderId id;
  manifest::Vin vin;
  manifest::ImageKind kind;
  std::string account;                 // who ordered; "system" for software
  std::optional<std::string> product;  // functions
  std::optional<manifest::FunctionId> function;
  std::vector<std::string> regions;  // maps
  std::vector<OrderedImage> images;
  OrderPhase phase = OrderPhase::kOrdered;
  UnixSeconds since = 0;
  UnixSeconds ordered = 0;
  UnixSeconds download_by = 0;
  std::optional<UnixSeconds> downloaded;
  Price price;
  Money money = Money::kNone;
  std::optional<Term> term;                 // functions
  std::optional<UnixSeconds> withdraw_by;   // unlimited functions
  std::optional<UnixSeconds> active_until;  // from the licence; absent: unlimited or no licence yet
  std::uint64_t licence_counter = 0;        // of the newest licence issued for it; 0 for none
  std::string licence_for;                  // seal key that it was sealed to
  std::optional<manifest::ErrorReport> error;  // what the car said last
  std::vector<OrderHistory> history;
};

std::string order_prefix(const manifest::Vin& vin);
std::string order_key(const manifest::Vin& vin, std::string_view id);
// `o/<id>` -> VIN
std::string order_lookup_key(std::string_view id);

std::string encode_order(const Order& order);
Result<Order> decode_order(std::string_view text);

// What callers see; `kSecondary` sees neither who nor amounts.
enum class OrderView { kFull, kSecondary };
manifest::Json order_json(const Order& order, OrderView view);

// kNotFound.
Result<Order> load_order(Change& change, const manifest::Vin& vin, std::string_view id);
Result<Order> load_order(const Store& store, const manifest::Vin& vin, std::string_view id);
Result<manifest::Vin> find_order_vin(const Store& store, std::string_view id);

// All orders of a car, oldest first. In a change that has begun CarAffairs the list cannot grow
// unnoticed.
constexpr std::size_t kOrdersPerCarMax = 10'000;
Result<std::vector<Order>> load_orders(Change& change, const manifest::Vin& vin);

}  // namespace layby::server
