// The states of an order on the server, and ONE table that says what each cause does in each state
// and what entering a state brings with it. Pure and checked at compile time; docs/api.md prints it
// for people and a test holds both equal.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/fleet/car_affairs.h"

namespace layby::server {

enum class OrderPhase : std::uint8_t {
  kOrdered,       // no payload yet
  kStaged,        // offered to the car
  kDownloading,   // the car says that it has begun
  kDownloaded,    // all of it is in the car; a function has its licence now
  kActivating,    // past the point of no return
  kActive,        // done for maps and software; a function can be withdrawn, or its term ends
  kCancelling,    // taken back after the download: the deactivation is offered to the car
  kDeactivating,  // the car has taken up the deactivation
  kRefunded,      // final: taken back, and off in the car
  kExpired,       // the term is over; the deactivation is offered to the car
  kEnded,         // final: off in the car after its term
  kCancelled,     // final: given up before it was downloaded
  kFailed,        // final: the car has given up, or refused it
};
constexpr std::size_t kOrderPhases = 13;

enum class OrderCause : std::uint8_t {
  kPayloadReady,
  kOwnerCancels,
  kWindowOver,        // 28 days, P1.6
  kConsentWithdrawn,  // software only, P2.1
  kOwnerWithdraws,    // P1.7
  kOwnerChanged,      // hand-over, or the account is deleted: P1.10, P2.7
  kTermOver,          // P1.8
  kSuperseded,        // a newer order of the same function has its licence
  kImageWithdrawn,    // the owner gives up what the car can have no more: its image is not listed
  kObsolete,  // software: an image is not listed any more, or an ECU is another one now
  kReportedDownloading,
  kReportedDownloaded,
  kReportedActivating,
  kReportedActive,
  kReportedFailed,
  kReportedDeactivating,
  kReportedDeactivated,
};
constexpr std::size_t kOrderCauses = 17;

std::string_view to_string(OrderPhase phase);  // "ordered", …; stored and shown: never changes
Result<OrderPhase> parse_order_phase(std::string_view text);
std::string_view to_string(OrderCause cause);  // for audit records

// Who may bring a cause about.
enum class OrderActor { kOwner, kVehicle, kSystem };
std::string_view to_string(OrderActor actor);
constexpr OrderActor actor_of(OrderCause cause) {
  switch (cause) {
    case OrderCause::kPayloadReady:
    case OrderCause::kWindowOver:
    case OrderCause::kTermOver:
    case OrderCause::kObsolete:
    case OrderCause::kSuperseded: return OrderActor::kSystem;
    case OrderCause::kOwnerCancels:
    case OrderCause::kConsentWithdrawn:
    case OrderCause::kOwnerWithdraws:
    case OrderCause::kImageWithdrawn:
    case OrderCause::kOwnerChanged: return OrderActor::kOwner;
    case OrderCause::kReportedDownloading:
    case OrderCause::kReportedDownloaded:
    case OrderCause::kReportedActivating:
    case OrderCause::kReportedActive:
    case OrderCause::kReportedFailed:
    case OrderCause::kReportedDeactivating:
    case OrderCause::kReportedDeactivated: return OrderActor::kVehicle;
  }
  return OrderActor::kSystem;
}

struct OrderStep {
  enum class Kind : std::uint8_t {
    kMove,     // to another phase
    kStay,     // nothing changes: a repeat, or news that came late
    kTooLate,  // refused: the car has it
    kWrong,    // refused: makes no sense in this phase
  };
  Kind kind;
  OrderPhase to;  // kMove only
};

// What entering a state does. All of it is in one commit with the order's record, the audit record
// `order-STATE` and the move of the deadline.
struct OrderEntry {
  enum class MoneyIs : std::uint8_t {
    kLeft,
    kAuthorised,  // event `authorisation`
    kBilled,      // event `billing`, message `invoiced`
    kGivenBack,   // whatever is authorised or billed: event `refund`, message `refunded`
    kReturned,    // what is authorised and not billed: the same
  };
  enum class CarIs : std::uint8_t {
    kLeft,
    kOffered,      // the package, without a licence
    kLicensed,     // a function gets its licence, once
    kSwitchedOff,  // a deactivation with a revoking licence, where a licence had gone out
    kLetGo,        // nothing is wanted of it any more
  };
  OrderPhase phase;
  std::optional<Message> message;
  MoneyIs money = MoneyIs::kLeft;
  CarIs car = CarIs::kLeft;
};
std::string_view to_string(OrderEntry::MoneyIs money);
std::string_view to_string(OrderEntry::CarIs car);

namespace order_table {

using enum OrderPhase;
constexpr OrderStep xx_{OrderStep::Kind::kStay, kOrdered};
constexpr OrderStep lat{OrderStep::Kind::kTooLate, kOrdered};
constexpr OrderStep nop{OrderStep::Kind::kWrong, kOrdered};
constexpr OrderStep to(OrderPhase phase) {
  return {OrderStep::Kind::kMove, phase};
}
constexpr OrderStep stg = to(kStaged);
constexpr OrderStep dlg = to(kDownloading);
constexpr OrderStep dld = to(kDownloaded);
constexpr OrderStep acg = to(kActivating);
constexpr OrderStep act = to(kActive);
constexpr OrderStep cng = to(kCancelling);
constexpr OrderStep dea = to(kDeactivating);
constexpr OrderStep rfd = to(kRefunded);
constexpr OrderStep exp = to(kExpired);
constexpr OrderStep end = to(kEnded);
constexpr OrderStep can = to(kCancelled);
constexpr OrderStep fai = to(kFailed);

// A car that was offline skips reports: each of them may come in any phase in which the order is
// offered to it. In `kOrdered` the car cannot know of the order, so nothing that it says moves it.
// What is downloaded is not cancelled by anybody, unless its image is not listed any more: the
// Director holds it back then, and the car can never have it. What has begun in the car is obsolete
// only once the car says itself that it has ended. What is final stays as it is. A term
// that ends while the car has the package and has not activated it is over here only when the car
// has long been silent (order_due.h): until then its word decides, and then the next look at the
// clock.
// Columns as in OrderCause: payload ready; owner cancels; window over; consent withdrawn; owner
// withdraws; owner changed; term over; superseded; image withdrawn; obsolete; reported downloading,
// downloaded, activating, active, failed, deactivating, deactivated.
// clang-format off
constexpr std::array<std::array<OrderStep, kOrderCauses>, kOrderPhases> kRows = {{
//                 rdy own win con wdr chg trm sup img obs lod ful ing on  bad dg  off
/*ordered     */ {{stg,can,can,can,can,can,can,xx_,xx_,can,xx_,xx_,xx_,xx_,xx_,xx_,xx_}},
/*staged      */ {{xx_,can,can,can,can,can,can,xx_,xx_,can,dlg,dld,acg,act,fai,xx_,xx_}},
/*downloading */ {{xx_,can,can,can,can,can,can,xx_,xx_,can,xx_,dld,acg,act,fai,xx_,xx_}},
/*downloaded  */ {{xx_,lat,xx_,xx_,cng,cng,cng,xx_,fai,fai,xx_,xx_,acg,act,fai,xx_,xx_}},
/*activating  */ {{xx_,lat,xx_,xx_,cng,xx_,cng,xx_,xx_,fai,xx_,dld,xx_,act,fai,xx_,xx_}},
/*active      */ {{xx_,lat,xx_,xx_,cng,xx_,exp,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_}},
/*cancelling  */ {{xx_,lat,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,dea,rfd}},
/*deactivating*/ {{xx_,lat,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,rfd}},
/*refunded    */ {{xx_,nop,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_}},
/*expired     */ {{xx_,nop,xx_,xx_,nop,xx_,xx_,end,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,end}},
/*ended       */ {{xx_,nop,xx_,xx_,nop,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_}},
/*cancelled   */ {{xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_}},
/*failed      */ {{xx_,nop,xx_,xx_,nop,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_}},
}};

using enum OrderEntry::MoneyIs;
using Car = OrderEntry::CarIs;
constexpr std::array<OrderEntry, kOrderPhases> kEntries = {{
  {kOrdered,      Message::kOrdered,    kAuthorised, Car::kLeft},
  {kStaged,       {},                   kLeft,       Car::kOffered},
  {kDownloading,  {},                   kLeft,       Car::kLeft},
  {kDownloaded,   {},                   kLeft,       Car::kLicensed},  // says so itself, once
  {kActivating,   {},                   kLeft,       Car::kLicensed},
  {kActive,       Message::kActivated,  kBilled,     Car::kLetGo},
  {kCancelling,   Message::kWithdrawn,  kGivenBack,  Car::kSwitchedOff},
  {kDeactivating, {},                   kLeft,       Car::kLeft},
  {kRefunded,     Message::kEnded,      kLeft,       Car::kLetGo},
  {kExpired,      Message::kExpired,    kReturned,   Car::kSwitchedOff},
  {kEnded,        Message::kEnded,      kLeft,       Car::kLetGo},
  {kCancelled,    Message::kCancelled,  kGivenBack,  Car::kLetGo},
  {kFailed,       Message::kFailed,     kGivenBack,  Car::kSwitchedOff},
}};
// clang-format on

}  // namespace order_table

constexpr OrderStep order_step(OrderPhase phase, OrderCause cause) {
  return order_table::kRows[static_cast<std::size_t>(phase)][static_cast<std::size_t>(cause)];
}

constexpr const OrderEntry& order_entry(OrderPhase phase) {
  return order_table::kEntries[static_cast<std::size_t>(phase)];
}

// No further cause changes anything.
constexpr bool is_final(OrderPhase phase) {
  for (std::size_t cause = 0; cause < kOrderCauses; ++cause) {
    if (order_step(phase, static_cast<OrderCause>(cause)).kind == OrderStep::Kind::kMove)
      return false;
  }
  return true;
}

// Something has still to be done for it, here or in the car: a second order for the same thing
// waits. An expired one does not stand in the way, a newer order supersedes it.
constexpr bool is_under_way(OrderPhase phase) {
  return !is_final(phase) && phase != OrderPhase::kActive && phase != OrderPhase::kExpired;
}

// Waiting to be downloaded: the window of 28 days runs.
constexpr bool awaits_download(OrderPhase phase) {
  return order_step(phase, OrderCause::kWindowOver).kind == OrderStep::Kind::kMove;
}

// On its way into the car, from the order to the activation.
constexpr bool is_coming(OrderPhase phase) {
  return phase < OrderPhase::kActive;
}

// The car may fetch the payloads of the order: it is offered to the car and not over. A car that
// puts a package together again after a damage is past the download already.
constexpr bool entitles_to_payload(OrderPhase phase) {
  return is_coming(phase) && phase != OrderPhase::kOrdered;
}

// A deactivation is wanted of the car.
constexpr bool is_leaving(OrderPhase phase) {
  return phase == OrderPhase::kCancelling || phase == OrderPhase::kDeactivating ||
         phase == OrderPhase::kExpired;
}

namespace order_table {

constexpr bool moves(OrderPhase phase, OrderCause cause) {
  return order_step(phase, cause).kind == OrderStep::Kind::kMove;
}

// What the promises demand of the table.
constexpr bool money_is_safe() {
  for (std::size_t p = 0; p < kOrderPhases; ++p) {
    const auto phase = static_cast<OrderPhase>(p);
    if (order_entry(phase).phase != phase) return false;
    for (std::size_t c = 0; c < kOrderCauses; ++c) {
      const auto cause = static_cast<OrderCause>(c);
      if (!moves(phase, cause)) continue;
      const OrderPhase next = order_step(phase, cause).to;
      // One way into `active`, and it is the car's word (P1.5).
      if (next == kActive && cause != OrderCause::kReportedActive) return false;
      // Nothing comes back to life, and nothing is billed after it was given back.
      if (!is_coming(phase) && (is_coming(next) || next == kActive)) return false;
      if (phase > kActive && order_entry(next).money == kBilled) return false;
      // Whoever leaves the way into the car is billed or given its money back, at once.
      const auto money = order_entry(next).money;
      if (is_coming(phase) && !is_coming(next) && money != kBilled && money != kGivenBack)
        return false;
    }
    // Whoever may still cancel is still within the window, and the other way round (P1.6).
    if (moves(phase, OrderCause::kOwnerCancels) != awaits_download(phase)) return false;
    // What is over can no longer be obtained (P1.6).
    if (is_final(phase) && entitles_to_payload(phase)) return false;
    // Nobody's word but the car's ends what the car has to end.
    if (is_leaving(phase) && !moves(phase, OrderCause::kReportedDeactivated)) return false;
  }
  return true;
}
static_assert(money_is_safe());
static_assert(is_final(kRefunded) && is_final(kEnded) && is_final(kCancelled) && is_final(kFailed));
static_assert(!is_final(kActive) && !is_final(kCancelling) && !is_final(kExpired));

}  // namespace order_table

}  // namespace layby::server
