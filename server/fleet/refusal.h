// How a handler says no: a status, a stable code for programs, a text for people and, where there
// are several, every reason.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/result.h"
#include "server/http/message.h"
#include "server/http/problem.h"

namespace layby::server {

// The codes of our own refusals; what an Error says comes out under the Error's name. Stable, and
// listed in docs/openapi.yaml.
enum class RefusalCode {
  kAlreadyActive,   // the car has this function already
  kAlreadyOrdered,  // an order for the same thing is under way
  kAlreadyPaired,   // the car belongs to another account
  kBadManifest,     // a vehicle manifest that does not verify
  kCodeLocked,      // too many wrong invitation codes
  kDoesNotFit,      // P1.2; reasons name every rule
  kIdempotencyKeyRequired,
  kIdempotencyKeyReused,
  kInherited,        // the order is that of an earlier owner
  kNotRenewable,     // nothing that could be renewed
  kNotWithdrawable,  // the product cannot be withdrawn from
  kOwnerOnly,        // P1.1
  kPairingLocked,    // too many wrong codes
  kReportedStolen,   // P1.12
  kReplay,           // a manifest with a counter that was seen before
  kTooEarly,         // to renew
  kTooLate,          // the car has it downloaded, or the window is over
  kTooManyRegions,   // P3.1
  kUnknownRegion,
  kUpToDate,    // nothing newer for the regions
  kWrongCode,   // pairing
  kWrongEcus,   // not the ECUs that the car was registered with
  kWrongState,  // the order's state does not allow it
};
std::string_view to_string(RefusalCode code);
int http_status(RefusalCode code);

class [[nodiscard]] Refusal {
 public:
  Refusal(RefusalCode code, std::string detail, std::vector<Reason> reasons = {})
      : code_(code), detail_(std::move(detail)), reasons_(std::move(reasons)) {}
  // Implicit, so that TRY on a Result works in a function that gives an Answer.
  Refusal(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  // None where an Error was passed on.
  std::optional<RefusalCode> code() const { return code_; }
  const std::optional<Error>& error() const { return error_; }
  const std::string& detail() const { return error_ ? error_->message() : detail_; }
  const std::vector<Reason>& reasons() const { return reasons_; }

 private:
  std::optional<RefusalCode> code_;
  std::string detail_;
  std::vector<Reason> reasons_;
  std::optional<Error> error_;
};

template <typename T = void>
using Answer = tl::expected<T, Refusal>;

template <typename... Args>
[[nodiscard]] tl::unexpected<Refusal> refuse(Args&&... args) {
  return tl::unexpected<Refusal>(Refusal(std::forward<Args>(args)...));
}

// The response as it is, or the refusal as problem+json.
Response to_response(Answer<Response> answer);

}  // namespace layby::server
