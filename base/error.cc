#include "base/error.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "base/utf8.h"

namespace layby {

namespace {

std::string well_formed(std::string text) {
  for (std::size_t at = 0; at < std::min(text.size(), kErrorBytesMax);) {
    std::size_t length = utf8_length(text, at);
    if (at + length > kErrorBytesMax) text.resize(at);
    if (length == 0) text[at] = '?';
    at += std::max<std::size_t>(length, 1);
  }
  text.resize(std::min(text.size(), kErrorBytesMax));
  return text;
}

// Empty for a number that is no code.
std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid-argument";
    case ErrorCode::kNotFound: return "not-found";
    case ErrorCode::kAlreadyExists: return "already-exists";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kDiskFull: return "disk-full";
    case ErrorCode::kTooLarge: return "too-large";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kConflict: return "conflict";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kUnauthenticated: return "unauthenticated";
    case ErrorCode::kForbidden: return "forbidden";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kInternal: return "internal";
    case ErrorCode::kBadJson: return "bad-json";
    case ErrorCode::kBadCanonicalJson: return "bad-canonical-json";
    case ErrorCode::kBadFormat: return "bad-format";
    case ErrorCode::kBadSignature: return "bad-signature";
    case ErrorCode::kRollback: return "rollback";
    case ErrorCode::kFreeze: return "freeze";
    case ErrorCode::kMixAndMatch: return "mix-and-match";
    case ErrorCode::kEndlessData: return "endless-data";
    case ErrorCode::kSlowRetrieval: return "slow-retrieval";
    case ErrorCode::kWrongVehicle: return "wrong-vehicle";
    case ErrorCode::kWrongEcu: return "wrong-ecu";
    case ErrorCode::kRepositoriesDisagree: return "repositories-disagree";
    case ErrorCode::kImageRollback: return "image-rollback";
    case ErrorCode::kWrongImage: return "wrong-image";
    case ErrorCode::kLicenceRefused: return "licence-refused";
    case ErrorCode::kReplay: return "replay";
    case ErrorCode::kUntrustedTime: return "untrusted-time";
    case ErrorCode::kBadPayload: return "bad-payload";
    case ErrorCode::kWrongBase: return "wrong-base";
    case ErrorCode::kWrongChunk: return "wrong-chunk";
    case ErrorCode::kEncoderDefect: return "encoder-defect";
    case ErrorCode::kNotEnoughSpace: return "not-enough-space";
    case ErrorCode::kConditionsNotMet: return "conditions-not-met";
    case ErrorCode::kInstallFailed: return "install-failed";
    case ErrorCode::kActivationFailed: return "activation-failed";
    case ErrorCode::kHealthCheckFailed: return "health-check-failed";
    case ErrorCode::kPrivateMode: return "private-mode";
    case ErrorCode::kByteBudgetSpent: return "byte-budget-spent";
    case ErrorCode::kSlotsDisagree: return "slots-disagree";
    case ErrorCode::kEcuRefused: return "ecu-refused";
  }
  return {};
}

}  // namespace

std::string_view to_string(ErrorCode code) {
  const std::string_view name = name_of(code);
  LAYBY_ASSERT(!name.empty());
  return name;
}

std::optional<ErrorCode> error_code(std::uint64_t number) {
  const auto code = static_cast<ErrorCode>(number);
  if (number > UINT16_MAX || name_of(code).empty()) return std::nullopt;
  return code;
}

Error::Error(ErrorCode code, std::string message)
    : code_(code), message_(well_formed(std::move(message))) {}

Error Error::with_context(std::string_view where) && {
  return std::as_const(*this).with_context(where);
}

Error Error::with_context(std::string_view where) const& {
  return {code_, std::string(where) + ": " + message_};
}

}  // namespace layby
