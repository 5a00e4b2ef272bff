#include "server/fleet/refusal.h"

#include "base/assert.h"

namespace layby::server {

std::string_view to_string(RefusalCode code) {
  switch (code) {
    case RefusalCode::kAlreadyActive: return "already-active";
    case RefusalCode::kAlreadyOrdered: return "already-ordered";
    case RefusalCode::kAlreadyPaired: return "already-paired";
    case RefusalCode::kBadManifest: return "bad-manifest";
    case RefusalCode::kCodeLocked: return "code-locked";
    case RefusalCode::kDoesNotFit: return "does-not-fit";
    case RefusalCode::kIdempotencyKeyRequired: return "idempotency-key-required";
    case RefusalCode::kIdempotencyKeyReused: return "idempotency-key-reused";
    case RefusalCode::kInherited: return "inherited";
    case RefusalCode::kNotRenewable: return "not-renewable";
    case RefusalCode::kNotWithdrawable: return "not-withdrawable";
    case RefusalCode::kOwnerOnly: return "owner-only";
    case RefusalCode::kPairingLocked: return "pairing-locked";
    case RefusalCode::kReportedStolen: return "reported-stolen";
    case RefusalCode::kReplay: return "replay";
    case RefusalCode::kTooEarly: return "too-early";
    case RefusalCode::kTooLate: return "too-late";
    case RefusalCode::kTooManyRegions: return "too-many-regions";
    case RefusalCode::kUnknownRegion: return "unknown-region";
    case RefusalCode::kUpToDate: return "up-to-date";
    case RefusalCode::kWrongCode: return "wrong-code";
    case RefusalCode::kWrongEcus: return "wrong-ecus";
    case RefusalCode::kWrongState: return "wrong-state";
  }
  LAYBY_ASSERT(false);
}

int http_status(RefusalCode code) {
  switch (code) {
    case RefusalCode::kIdempotencyKeyRequired: return 400;
    case RefusalCode::kOwnerOnly:
    case RefusalCode::kWrongCode: return 403;
    case RefusalCode::kAlreadyActive:
    case RefusalCode::kAlreadyOrdered:
    case RefusalCode::kAlreadyPaired:
    case RefusalCode::kInherited:
    case RefusalCode::kNotRenewable:
    case RefusalCode::kNotWithdrawable:
    case RefusalCode::kReportedStolen:
    case RefusalCode::kReplay:
    case RefusalCode::kTooEarly:
    case RefusalCode::kTooLate:
    case RefusalCode::kUpToDate:
    case RefusalCode::kWrongState: return 409;
    case RefusalCode::kBadManifest:
    case RefusalCode::kDoesNotFit:
    case RefusalCode::kIdempotencyKeyReused:
    case RefusalCode::kTooManyRegions:
    case RefusalCode::kUnknownRegion:
    case RefusalCode::kWrongEcus: return 422;
    case RefusalCode::kCodeLocked:
    case RefusalCode::kPairingLocked: return 429;
  }
  LAYBY_ASSERT(false);
}

Response to_response(Answer<Response> answer) {
  if (answer) return std::move(*answer);
  const Refusal& refusal = answer.error();
  if (refusal.error()) return problem(*refusal.error());
  return problem(http_status(*refusal.code()), to_string(*refusal.code()), refusal.detail(),
                 refusal.reasons());
}

}  // namespace layby::server
