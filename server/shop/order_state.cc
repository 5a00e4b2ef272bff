#include "server/shop/order_state.h"

#include "base/assert.h"

namespace layby::server {

std::string_view to_string(OrderPhase phase) {
  switch (phase) {
    case OrderPhase::kOrdered: return "ordered";
    case OrderPhase::kStaged: return "staged";
    case OrderPhase::kDownloading: return "downloading";
    case OrderPhase::kDownloaded: return "downloaded";
    case OrderPhase::kInstalling: return "installing";
    case OrderPhase::kActive: return "active";
    case OrderPhase::kCancelled: return "cancelled";
    case OrderPhase::kFailed: return "failed";
    case OrderPhase::kWithdrawn: return "withdrawn";
    case OrderPhase::kEnded: return "ended";
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
    case OrderCause::kReportedDownloading: return "reported-downloading";
    case OrderCause::kReportedDownloaded: return "reported-downloaded";
    case OrderCause::kReportedInstalling: return "reported-installing";
    case OrderCause::kReportedActive: return "reported-active";
    case OrderCause::kReportedFailed: return "reported-failed";
    case OrderCause::kReportedDeactivated: return "reported-deactivated";
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::server
