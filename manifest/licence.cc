#include "manifest/licence.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

Json encode(const Licence& licence) {
  Json object{{"_type", "licence"},
              {"vin", licence.vin.text()},
              {"function", licence.function.text()},
              {"order", licence.order.text()},
              {"counter", licence.counter},
              {"state", licence.state == LicenceState::kActive ? "active" : "revoked"},
              {"issued", format_utc(licence.issued)}};
  if (licence.until) object["until"] = format_utc(*licence.until);
  if (licence.grace_seconds > 0) object["grace"] = licence.grace_seconds;
  return object;
}

Result<Licence> decode(const Json& object) {
  if (TRY(text_field(object, "_type")) != "licence")
    return fail(ErrorCode::kBadFormat, "not a licence");
  Vin vin = TRY(Vin::parse(TRY(text_field(object, "vin"))));
  FunctionId function = TRY(FunctionId::parse(TRY(text_field(object, "function"))));
  OrderId order = TRY(OrderId::parse(TRY(text_field(object, "order"))));
  Licence licence{.vin = std::move(vin),
                  .function = std::move(function),
                  .order = std::move(order),
                  .counter = 0,
                  .state = LicenceState::kActive,
                  .issued = 0,
                  .until = std::nullopt};
  licence.counter = TRY(uint_field(object, "counter"));
  licence.issued = TRY(time_field(object, "issued"));
  const std::string state = TRY(text_field(object, "state"));
  if (state == "revoked")
    licence.state = LicenceState::kRevoked;
  else if (state != "active")
    return fail(ErrorCode::kBadFormat, "\"state\" is {}", state);
  if (find_field(object, "until")) licence.until = TRY(time_field(object, "until"));
  if (!find_field(object, "grace")) return licence;
  if (!licence.until) return fail(ErrorCode::kBadFormat, "\"grace\" without \"until\"");
  licence.grace_seconds = static_cast<std::int64_t>(
      TRY(uint_field(object, "grace", static_cast<std::uint64_t>(kGraceSecondsMax))));
  return licence;
}

Result<void> check_expected(const Licence& licence, const LicenceMark& mark,
                            const LicenceExpectation& expected) {
  if (licence.vin != expected.vin)
    return fail(ErrorCode::kLicenceRefused, "the licence is for the car {}, this is {}",
                licence.vin.text(), expected.vin.text());
  if (licence.function != expected.function)
    return fail(ErrorCode::kLicenceRefused, "the licence is for the function {}, not {}",
                licence.function.text(), expected.function.text());
  if (!expected.newest) return {};
  if (mark.counter < expected.newest->counter)
    return fail(ErrorCode::kLicenceRefused, "the licence's counter is {}, the car has {}",
                mark.counter, expected.newest->counter);
  if (mark.counter == expected.newest->counter && mark != *expected.newest)
    return fail(ErrorCode::kLicenceRefused, "the licence's counter {} again with other content",
                mark.counter);
  return {};
}

Result<Envelope> unseal(ByteSpan sealed, const crypto::SealSecretKey& car) {
  if (sealed.size() > kLicenceBytesMax)
    return fail(ErrorCode::kEndlessData, "a licence of {} bytes, at most {} are allowed",
                sealed.size(), kLicenceBytesMax);
  const auto opened = crypto::open_sealed(sealed, car);
  if (!opened)
    return fail(ErrorCode::kLicenceRefused, "the licence is not sealed to this car: {}",
                opened.error().message());
  return TRY_CONTEXT(Envelope::parse(*opened, kLicenceBytesMax), "the licence");
}

}  // namespace

// The one who may make a VerifiedLicence.
struct LicenceOpener {
  static Result<VerifiedLicence> open(ByteSpan sealed, const crypto::SealSecretKey& car,
                                      const LicenceExpectation& expected) {
    const Envelope envelope = TRY(unseal(sealed, car));
    TRY_VOID(verify_signature(envelope, expected.licence_key, "the licence"));
    auto licence = decode(envelope.signed_part());
    if (!licence) return fail(ErrorCode::kBadFormat, "the licence: {}", licence.error().message());
    const LicenceMark mark{licence->counter, crypto::sha256(as_bytes(envelope.canonical()))};
    TRY_VOID(check_expected(*licence, mark, expected));
    return VerifiedLicence(std::move(*licence), mark);
  }
};

Result<Bytes> make_licence(const Licence& licence, const crypto::Signer& licence_key,
                           const crypto::SealPublicKey& car) {
  return crypto::seal(TRY(sign_envelope(encode(licence), licence_key)), car);
}

Result<VerifiedLicence> open_licence(ByteSpan sealed, const crypto::SealSecretKey& car,
                                     const LicenceExpectation& expected) {
  return LicenceOpener::open(sealed, car, expected);
}

Result<FunctionId> claimed_function(ByteSpan sealed, const crypto::SealSecretKey& car,
                                    const Vin& vin) {
  const Envelope envelope = TRY(unseal(sealed, car));
  auto licence = decode(envelope.signed_part());
  if (!licence) return fail(ErrorCode::kBadFormat, "the licence: {}", licence.error().message());
  if (licence->vin != vin)
    return fail(ErrorCode::kLicenceRefused, "the licence is for the car {}, this is {}",
                licence->vin.text(), vin.text());
  return std::move(licence->function);
}

std::string_view to_string(FunctionState state) {
  switch (state) {
    case FunctionState::kActive: return "active";
    case FunctionState::kExpired: return "expired";
    case FunctionState::kRevoked: return "revoked";
  }
  LAYBY_ASSERT(false);
}

Result<FunctionState> parse_function_state(std::string_view text) {
  for (const FunctionState state :
       {FunctionState::kActive, FunctionState::kExpired, FunctionState::kRevoked})
    if (text == to_string(state)) return state;
  return fail(ErrorCode::kInvalidArgument, "a function is active, expired or revoked");
}

std::optional<UnixSeconds> Licence::ends() const {
  if (!until) return std::nullopt;
  return *until + grace_seconds;
}

FunctionState state_at(const Licence& licence, UnixSeconds now) {
  if (licence.state == LicenceState::kRevoked) return FunctionState::kRevoked;
  const std::optional<UnixSeconds> end = licence.ends();
  return end && now >= *end ? FunctionState::kExpired : FunctionState::kActive;
}

}  // namespace layby::manifest
