#include "server/shop/order_state.h"

#include "base/assert.h"

namespace layby::server {

std::string_view to_string(OrderPhase phase) {
  switch (phase) {
    case OrderPhase::kOrdered: return "ordered";
    case OrderPhase::kStaged: return "staged";
    case OrderPhase::kDownloading: return "downloading";
    case OrderPhase::kDownloaded: return "downloaded";
    case OrderPhase::kActivating: return "activating";
    case OrderPhase::kActive: return "active";
    case OrderPhase::kCancelling: return "cancelling";
    case OrderPhase::kDeactivating: return "deactivating";
    case OrderPhase::kRefunded: return "refunded";
    case OrderPhase::kExpired: return "expired";
    case OrderPhase::kEnded: return "ended";
    case OrderPhase::kCancelled: return "cancelled";
    case OrderPhase::kFailed: return "failed";
  }
  LAYBY_ASSERT(false);
}

Result<OrderPhase> parse_order_phase(std::string_view text) {
  for (std::size_t p = 0; p < kOrderPhases; ++p) {
    if (to_string(static_cast<OrderPhase>(p)) == text) return static_cast<OrderPhase>(p);
  }
  return fail(ErrorCode::kBadFormat, "order state \"{}\"", text);
}

std::string_view to_string(OrderCause cause) {
  switch (cause) {
    case OrderCause::kPayloadReady: return "payload-ready";
    case OrderCause::kOwnerCancels: return "owner-cancels";
    case OrderCause::kWindowOver: return "window-over";
    case OrderCause::kConsentWithdrawn: return "consent-withdrawn";
    case OrderCause::kOwnerWithdraws: return "owner-withdraws";
    case OrderCause::kOwnerChanged: return "owner-changed";
    case OrderCause::kTermOver: return "term-over";
    case OrderCause::kSuperseded: return "superseded";
    case OrderCause::kImageWithdrawn: return "image-withdrawn";
    case OrderCause::kObsolete: return "obsolete";
    case OrderCause::kReportedDownloading: return "reported-downloading";
    case OrderCause::kReportedDownloaded: return "reported-downloaded";
    case OrderCause::kReportedActivating: return "reported-activating";
    case OrderCause::kReportedActive: return "reported-active";
    case OrderCause::kReportedFailed: return "reported-failed";
    case OrderCause::kReportedDeactivating: return "reported-deactivating";
    case OrderCause::kReportedDeactivated: return "reported-deactivated";
  }
  LAYBY_ASSERT(false);
}

std::string_view to_string(OrderActor actor) {
  switch (actor) {
    case OrderActor::kOwner: return "owner";
    case OrderActor::kVehicle: return "vehicle";
    case OrderActor::kSystem: return "system";
  }
  LAYBY_ASSERT(false);
}

std::string_view to_string(OrderEntry::MoneyIs money) {
  switch (money) {
    case OrderEntry::MoneyIs::kLeft: return "–";
    case OrderEntry::MoneyIs::kAuthorised: return "authorised";
    case OrderEntry::MoneyIs::kBilled: return "billed";
    case OrderEntry::MoneyIs::kGivenBack: return "given back";
    case OrderEntry::MoneyIs::kReturned: return "returned where not billed";
  }
  LAYBY_ASSERT(false);
}

std::string_view to_string(OrderEntry::CarIs car) {
  switch (car) {
    case OrderEntry::CarIs::kLeft: return "–";
    case OrderEntry::CarIs::kOffered: return "is offered the package";
    case OrderEntry::CarIs::kLicensed: return "gets the licence";
    case OrderEntry::CarIs::kSwitchedOff: return "is offered the deactivation";
    case OrderEntry::CarIs::kLetGo: return "nothing is wanted of it any more";
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::server
