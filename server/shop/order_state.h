// The states of an order on the server, and ONE table that says what each cause does in each state.
// Pure and checked at compile time; docs/api.md explains it to people.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace layby::server {

enum class OrderPhase : std::uint8_t {
  kOrdered,      // no payload yet
  kStaged,       // offered to the car
  kDownloading,  // the car says that it has begun
  kDownloaded,   // all of it is in the car; a function has its licence now
  kInstalling,   // past the point of no return
  kActive,       // final for maps and software; a function can still be withdrawn
  kCancelled,    // final
  kFailed,       // final: the car has given up, or refused it
  kWithdrawn,    // waiting for the car to deactivate
  kEnded,        // final: deactivated after a withdrawal
};
constexpr std::size_t kOrderPhases = 10;

enum class OrderCause : std::uint8_t {
  kPayloadReady,
  kOwnerCancels,
  kWindowOver,        // 28 days, P1.6
  kConsentWithdrawn,  // software only, P2.1
  kOwnerWithdraws,    // P1.7
  kReportedDownloading,
  kReportedDownloaded,
  kReportedInstalling,
  kReportedActive,
  kReportedFailed,
  kReportedDeactivated,
};
constexpr std::size_t kOrderCauses = 11;

std::string_view to_string(OrderPhase phase);  // "ordered", …; stored and shown: never changes
Result<OrderPhase> parse_order_phase(std::string_view text);
std::string_view to_string(OrderCause cause);  // for audit records

// Who may bring a cause about.
enum class OrderActor { kOwner, kVehicle, kSystem };
constexpr OrderActor actor_of(OrderCause cause) {
  switch (cause) {
    case OrderCause::kPayloadReady:
    case OrderCause::kWindowOver: return OrderActor::kSystem;
    case OrderCause::kOwnerCancels:
    case OrderCause::kConsentWithdrawn:
    case OrderCause::kOwnerWithdraws: return OrderActor::kOwner;
    case OrderCause::kReportedDownloading:
    case OrderCause::kReportedDownloaded:
    case OrderCause::kReportedInstalling:
    case OrderCause::kReportedActive:
    case OrderCause::kReportedFailed:
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

namespace order_table {

using enum OrderPhase;
constexpr OrderStep stay{OrderStep::Kind::kStay, kOrdered};
constexpr OrderStep late{OrderStep::Kind::kTooLate, kOrdered};
constexpr OrderStep nope{OrderStep::Kind::kWrong, kOrdered};
constexpr OrderStep to(OrderPhase phase) {
  return {OrderStep::Kind::kMove, phase};
}
constexpr OrderStep stgd = to(kStaged);
constexpr OrderStep dlng = to(kDownloading);
constexpr OrderStep dldd = to(kDownloaded);
constexpr OrderStep inst = to(kInstalling);
constexpr OrderStep actv = to(kActive);
constexpr OrderStep cncl = to(kCancelled);
constexpr OrderStep fail = to(kFailed);
constexpr OrderStep wdrn = to(kWithdrawn);
constexpr OrderStep endd = to(kEnded);

// A car that was offline skips reports: each of them may come in any phase in which the order is
// offered to it. In `kOrdered` the car cannot know of the order, so nothing that it says moves it.
// What is downloaded is not cancelled by anybody; what is final stays as it is.
// clang-format off
constexpr std::array<std::array<OrderStep, kOrderCauses>, kOrderPhases> kRows = {{
  //                ready owner window consent with-  down-   down-   in-     active failed deact-
  //                      cancels      withdr. draws  loading loaded  stalling              ivated
  /* ordered     */ {{stgd, cncl, cncl, cncl,   cncl,  stay,   stay,   stay,   stay,  stay,  stay}},
  /* staged      */ {{stay, cncl, cncl, cncl,   cncl,  dlng,   dldd,   inst,   actv,  fail,  stay}},
  /* downloading */ {{stay, cncl, cncl, cncl,   cncl,  stay,   dldd,   inst,   actv,  fail,  stay}},
  /* downloaded  */ {{stay, late, stay, stay,   wdrn,  stay,   stay,   inst,   actv,  fail,  stay}},
  /* installing  */ {{stay, late, stay, stay,   wdrn,  stay,   dldd,   stay,   actv,  fail,  stay}},
  /* active      */ {{stay, late, stay, stay,   wdrn,  stay,   stay,   stay,   stay,  stay,  stay}},
  /* cancelled   */ {{stay, stay, stay, stay,   stay,  stay,   stay,   stay,   stay,  stay,  stay}},
  /* failed      */ {{stay, nope, stay, stay,   nope,  stay,   stay,   stay,   stay,  stay,  stay}},
  /* withdrawn   */ {{stay, late, stay, stay,   stay,  stay,   stay,   stay,   stay,  stay,  endd}},
  /* ended       */ {{stay, nope, stay, stay,   stay,  stay,   stay,   stay,   stay,  stay,  stay}},
}};
// clang-format on

}  // namespace order_table

constexpr OrderStep order_step(OrderPhase phase, OrderCause cause) {
  return order_table::kRows[static_cast<std::size_t>(phase)][static_cast<std::size_t>(cause)];
}

// No further cause changes anything, except a withdrawal of an active function.
constexpr bool is_final(OrderPhase phase) {
  for (std::size_t cause = 0; cause < kOrderCauses; ++cause) {
    const OrderStep step = order_step(phase, static_cast<OrderCause>(cause));
    if (step.kind == OrderStep::Kind::kMove &&
        static_cast<OrderCause>(cause) != OrderCause::kOwnerWithdraws)
      return false;
  }
  return true;
}

// Waiting to be downloaded: the window of 28 days runs.
constexpr bool awaits_download(OrderPhase phase) {
  return order_step(phase, OrderCause::kWindowOver).kind == OrderStep::Kind::kMove;
}

// The car may fetch the payloads of the order: it is offered to the car and not over. A car that
// puts a package together again after a damage is past the download already.
constexpr bool entitles_to_payload(OrderPhase phase) {
  switch (phase) {
    case OrderPhase::kStaged:
    case OrderPhase::kDownloading:
    case OrderPhase::kDownloaded:
    case OrderPhase::kInstalling: return true;
    case OrderPhase::kOrdered:
    case OrderPhase::kActive:
    case OrderPhase::kCancelled:
    case OrderPhase::kFailed:
    case OrderPhase::kWithdrawn:
    case OrderPhase::kEnded: return false;
  }
  return false;
}

namespace order_table {

// What the promises demand of the table.
constexpr bool money_is_safe() {
  for (std::size_t p = 0; p < kOrderPhases; ++p) {
    const auto phase = static_cast<OrderPhase>(p);
    // One way into `active`, and it is the car's word (P1.5).
    for (std::size_t c = 0; c < kOrderCauses; ++c) {
      const auto cause = static_cast<OrderCause>(c);
      const OrderStep step = order_step(phase, cause);
      if (step.kind == OrderStep::Kind::kMove && step.to == kActive &&
          cause != OrderCause::kReportedActive)
        return false;
      // Nothing leaves cancelled, failed or ended.
      if (step.kind == OrderStep::Kind::kMove &&
          (phase == kCancelled || phase == kFailed || phase == kEnded))
        return false;
    }
    // Whoever may still cancel is still within the window, and the other way round (P1.6).
    if ((order_step(phase, OrderCause::kOwnerCancels).kind == OrderStep::Kind::kMove) !=
        awaits_download(phase))
      return false;
    // What is over can no longer be obtained (P1.6).
    if (is_final(phase) && entitles_to_payload(phase)) return false;
  }
  return true;
}
static_assert(money_is_safe());
static_assert(is_final(kActive) && is_final(kCancelled) && is_final(kFailed) && is_final(kEnded));
static_assert(!is_final(kWithdrawn) && !is_final(kStaged));

}  // namespace order_table

}  // namespace layby::server
