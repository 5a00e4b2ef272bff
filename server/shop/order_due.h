// What time brings about in an order. `next_due` is pure: the one entry that each order has in the
// index of deadlines stands at what it says, and save_order moves it. What is not due costs
// nothing.
#pragma once

#include <optional>

#include "server/fleet/car_affairs.h"
#include "server/shop/order.h"

namespace layby::server {

enum class DueKind {
  kWindowEnd,       // not downloaded within 28 days: cancelled (P1.6)
  kTermOver,        // P1.8
  kLapsed,          // over before the car said that it is active, and long silent since
  kPeriodUnused,    // a renewal that the car never had before its period was over: returned
  kRenewal,         // one day before the end, where it renews by itself
  kExtension,       // P1.12: the term ends while the car is reported stolen
  kLicenceRefresh,  // half of a licence is gone before the activation, from which its term counts
  kRenewalOpens,    // message: 14 days before the end, where the owner has to renew
  kExpiringSoon,    // message: 7, 2 and 1 days before the end, where it does not renew
  kWindowReminder,  // message: 7, 2 and 1 days before the window's end
};

struct Due {
  UnixSeconds at;
  DueKind kind;
};

// The first thing that is due for an order, also one that was due long ago; nothing for an order to
// which time does nothing more. Of what is due in the same second, the first in DueKind.
std::optional<Due> next_due(const Order& order);

constexpr std::int64_t kRenewalOpensDays = 14;  // before the end; local days
constexpr std::int64_t kRenewalNoticeDays = 1;  // the same: until then it can be told not to renew
constexpr std::int64_t kExtensionDays = 28;     // the same
// After the end of a term, and of its licence's grace, that the car has in time but never said to
// have activated: so long a car may be without connection until the order is given back.
constexpr std::int64_t kSilenceDays = 28;

// Of an active order whose term ends.
UnixSeconds renewal_opens(const Order& order);
UnixSeconds renewal_due(const Order& order);
// When the next period is charged, if it renews by itself.
std::optional<UnixSeconds> next_charge(const Order& order);

// Brings about the first thing that is due at affairs.now(), and saves the order; kNothing if there
// is none.
enum class Settled { kSomething, kNothing };
Result<Settled> settle_next(CarAffairs& affairs, Order& order);

// All of it. Before anything else happens to an order: what comes out does not depend on whether
// the sweep or somebody else is faster.
Result<void> settle(CarAffairs& affairs, Order& order);

// The next period: authorised, and its licence on the way to the car. For an active, renewable
// order whose term ends.
Result<void> renew_order(CarAffairs& affairs, Order& order);

}  // namespace layby::server
