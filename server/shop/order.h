// An order, for one car and for ever (P1.3): its record `v/<VIN>/order/<id>`, and
// `v/<VIN>/past/<id>` from when it is over on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "manifest/director.h"
#include "manifest/json.h"
#include "manifest/names.h"
#include "manifest/report.h"
#include "manifest/vin.h"
#include "server/shop/local_time.h"
#include "server/shop/order_state.h"
#include "server/shop/term.h"
#include "server/store/change.h"

namespace layby::server {

constexpr std::int64_t kDownloadWindowDays = 28;              // P1.6; local ones
inline constexpr std::string_view kSystemAccount = "system";  // of orders that nobody placed
constexpr std::size_t kPeriodsMax = 2400;                     // of one order: 200 years of months

// Where the amount of a period is. It only moves forward: none of the last three is ever left.
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

// What is paid for at a time: all of an unlimited order, one term or month of another. Exactly one
// of billed, and returned or refunded, becomes of each that costs something.
struct Period {
  std::uint64_t number = 1;
  std::optional<UnixSeconds> from;   // absent until the term has begun
  std::optional<UnixSeconds> until;  // absent also for unlimited ones
  Money money = Money::kNone;
  std::uint64_t licence = 0;  // of a renewal: the counter by which the car shows that it has it
};

struct OrderedImage {
  manifest::ImageName name;
  crypto::Digest256 sha256;           // what the car must report as installed
  manifest::Slot slot = name.slot();  // as the image's signed facts say
};

// The release of a function that names the next licence key, while the car has the one before. That
// one stays the order's image until the car shows that it runs this one.
struct KeyExchange {
  OrderedImage release;
  std::vector<std::uint64_t> licences{};  // the newest numbers of those that went with its key
  // The release whose key the car obeys where it is not that of the order's image: it has one of
  // those licences, and the installation failed behind it.
  std::optional<manifest::ImageName> obeyed{};
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
  manifest::Delivery delivery = manifest::Delivery::kOverTheAir;
  OrderPhase phase = OrderPhase::kOrdered;
  UnixSeconds since = 0;
  UnixSeconds ordered = 0;
  UnixSeconds download_by = 0;
  std::optional<UnixSeconds> downloaded;
  TimeZone zone = TimeZone::utc();  // of the car
  Price price;                      // of a period
  std::vector<Period> periods;      // functions: at least one
  std::optional<Term> term;         // functions
  bool renewable = false;
  bool auto_renew = false;
  bool protects = false;                    // P1.12
  bool held = false;                        // protects, and the car is reported stolen
  bool revoked = false;                     // failed, and nothing is left of it in the car
  std::optional<UnixSeconds> withdraw_by;   // unlimited functions
  std::optional<UnixSeconds> active_until;  // from the licence; absent: unlimited or no licence yet
  std::uint64_t licence_counter = 0;        // of the newest licence issued for it; 0 for none
  std::uint64_t licence_first = 0;          // the first one
  UnixSeconds licence_issued = 0;           // the newest
  std::optional<KeyExchange> exchange{};
  std::string licence_for;  // seal key that it was sealed to; empty: the car was not paired
  UnixSeconds noted = 0;    // reminders that were due until then need no saying any more
  std::optional<UnixSeconds> indexed;  // where its one entry in the index of deadlines stands
  std::optional<manifest::ErrorReport> error;  // what the car said last
  std::string conditions;  // SHA-256 of the conditions in the audit trail last; empty for none
  std::vector<OrderHistory> history;
};

std::string order_prefix(const manifest::Vin& vin);
std::string order_key(const manifest::Vin& vin, std::string_view id);
std::string past_order_prefix(const manifest::Vin& vin);
std::string past_order_key(const manifest::Vin& vin, std::string_view id);
// Nothing is left to be done for it, here or in the car.
bool is_over(const Order& order);
// `o/<id>` -> VIN
std::string order_lookup_key(std::string_view id);

std::string encode_order(const Order& order);
Result<Order> decode_order(std::string_view text);

// Of its newest period.
Money money_of(const Order& order);
std::string_view to_string(Money money);
// When what was paid for or renewed ends; nothing where it does not, or has not begun.
std::optional<UnixSeconds> contract_end(const Order& order);

// A car that fails and tries again for years must not make the order ever larger. The first steps
// say how it began, the last ones where it stands; the audit trail has all of them.
constexpr std::size_t kHistoryFirst = 10;
constexpr std::size_t kHistoryLast = 90;

// That a car has had the inclusive period of a function, which there is once (P1.4): the value is
// the order.
std::string had_inclusive_key(const manifest::Vin& vin, const manifest::FunctionId& function);

// What callers see; `kSecondary` sees neither who nor amounts. `kInherited` is what a new owner
// sees of an order that somebody else placed: product, state and term (P1.10).
enum class OrderView { kFull, kSecondary, kInherited };
manifest::Json order_json(const Order& order, OrderView view);

// kNotFound.
Result<Order> load_order(Change& change, const manifest::Vin& vin, std::string_view id);
Result<Order> load_order(const Store& store, const manifest::Vin& vin, std::string_view id);
Result<manifest::Vin> find_order_vin(const Store& store, std::string_view id);

// The orders of a car that are not over, oldest first: at most so many, and those that are over
// cost nothing, however many there are. In a change that has begun CarAffairs the list cannot grow
// unnoticed.
constexpr std::size_t kOpenOrdersMax = 1'000;
Result<std::vector<Order>> load_orders(Change& change, const manifest::Vin& vin);
Result<std::vector<Order>> load_orders(const Store& store, const manifest::Vin& vin);
// All orders of a car, oldest first, after the one called `after`.
Result<std::vector<Order>> list_orders(const Store& store, const manifest::Vin& vin,
                                       const std::string& after, std::size_t limit);

// That a software image failed in a car, or its owner would not have it: it is not offered again.
std::string settled_software_key(const manifest::Vin& vin, const crypto::Digest256& image);

}  // namespace layby::server
