// Errors: a stable number where somebody acts on it, and a text that says what, where and what to
// do.
//
// Codes are never reused and never renumbered: they appear in reports of cars, in audit records and
// in the API. Bugs of ours are not errors; see assert.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace layby {

enum class ErrorCode : std::uint16_t {
  // 1..99: the world around us
  kInvalidArgument = 1,  // what the caller gave does not make sense; the text says which part
  kNotFound = 2,
  kAlreadyExists = 3,
  kIo = 4,           // the operating system refused; the text carries errno's words
  kDiskFull = 5,     // no space left; the text names what is missing where it is known
  kTooLarge = 6,     // a limit of base/limits.h or of a document was exceeded; the text names it
  kCorrupt = 7,      // bytes do not match their digest, or a structure that we wrote does not parse
  kConflict = 8,     // compare-and-set lost, or the state does not allow it now
  kUnavailable = 9,  // try again later: no network, the server is busy, a deadline passed
  kTimeout = 10,
  kUnauthenticated = 11,
  kForbidden = 12,
  kUnsupported = 13,  // a version or feature that this build does not know
  kCancelled = 14,
  kInternal = 15,  // a library failed in a way that we cannot map

  // 100..199: parsing
  kBadJson = 100,
  kBadCanonicalJson = 101,
  kBadFormat = 102,  // well-formed, but not what the document says must be there

  // 200..299: trust; each names the attack it stops (UPTANE attack table)
  kBadSignature = 200,          // below the role's threshold
  kRollback = 201,              // a version lower than one already trusted
  kFreeze = 202,                // expired metadata
  kMixAndMatch = 203,           // a hash, length or version differs from what the parent says
  kEndlessData = 204,           // more bytes than allowed
  kSlowRetrieval = 205,         // slower than the minimum rate, or past the deadline
  kWrongVehicle = 206,          // names another VIN
  kWrongEcu = 207,              // unknown ECU, ECU named twice, or hardware id does not fit
  kRepositoriesDisagree = 208,  // Director and Image repository do not say the same
  kImageRollback = 209,         // release counter lower than the installed one
  kWrongImage = 210,            // bytes do not have the signed digest or length
  kLicenceRefused = 211,  // not for this car, not for this function, or older than what it has
  kReplay = 212,          // a report, nonce or counter that was seen before
  kUntrustedTime = 213,   // no time that may be trusted

  // 300..399: delta
  kBadPayload = 300,     // container damaged or hostile
  kWrongBase = 301,      // the base is not the one the payload was made for
  kWrongChunk = 302,     // a chunk's compressed or target bytes do not have their digest
  kEncoderDefect = 303,  // the encoder's own proof failed: nothing is published

  // 400..499: the car
  kNotEnoughSpace = 400,
  kConditionsNotMet = 401,
  kInstallFailed = 402,
  kActivationFailed = 403,
  kHealthCheckFailed = 404,
  kPrivateMode = 405,
  kByteBudgetSpent = 406,
  kSlotsDisagree = 407,  // journal and boot loader name different software slots
  kEcuRefused = 408,     // another ECU of the car, for a reason of its own; the text has it
};

// The stable name of a code, for example "rollback". Used in JSON; never changes either.
std::string_view to_string(ErrorCode code);
// The code of a number that somebody else has written; empty where this build has none.
std::optional<ErrorCode> error_code(std::uint64_t number);

class [[nodiscard]] Error {
 public:
  // A message quotes names and texts from anywhere, and ends up in journals, reports and answers:
  // it is always UTF-8 and at most kErrorBytesMax (base/limits.h) long. What is not becomes '?',
  // the rest is cut.
  Error(ErrorCode code, std::string message);

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // Puts `where` in front of the message: "reading /etc/layby.toml: No such file".
  Error with_context(std::string_view where) &&;
  Error with_context(std::string_view where) const&;

 private:
  ErrorCode code_;
  std::string message_;
};

}  // namespace layby
