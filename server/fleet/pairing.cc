#include "server/fleet/pairing.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/check_in.h"
#include "server/fleet/deadline.h"
#include "server/fleet/ecu_keys.h"
#include "server/fleet/ecu_replacement.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/named_ecus.h"
#include "server/fleet/ownership.h"
#include "server/fleet/vehicle_certificate.h"
#include "server/fleet/vehicle_state.h"

namespace layby::server {

using manifest::Json;

namespace {

struct PairRequest {
  manifest::Vin vin;
  std::string code_digest;
  std::string certificate_request;
  crypto::SealPublicKey seal_key;
  manifest::EcuSerial primary;
  NamedEcus named;
  std::string digest;  // of the whole request
};

std::string tries_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "pairing";
}

Result<PairRequest> read_pair_request(const Request& request) {
  const Json body = TRY(json_body(request));
  TRY_VOID(
      check_fields(body, {"vin", "code", "certificate_request", "seal_key", "ecus", "primary"}));
  const std::string code = TRY(manifest::text_field(body, "code"));
  NamedEcus named = TRY(read_named_ecus(body));
  manifest::EcuSerial primary = named.ecus.front().serial;
  if (manifest::find_field(body, "primary"))
    primary = TRY(manifest::text_field(body, "primary").and_then(manifest::EcuSerial::parse));
  auto vin = TRY(manifest::text_field(body, "vin").and_then(manifest::Vin::parse));
  auto certificate_request = TRY(manifest::text_field(body, "certificate_request"));
  auto seal_key = TRY(manifest::text_field(body, "seal_key").and_then(array_from_hex<32>));
  PairRequest pair{.vin = std::move(vin),
                   .code_digest = digest_of_typed_code(code),
                   .certificate_request = std::move(certificate_request),
                   .seal_key = std::move(seal_key),
                   .primary = std::move(primary),
                   .named = std::move(named),
                   .digest = to_hex(crypto::sha256(as_bytes(request.body)))};
  // A key to which no licence can be sealed would be found out only once an order is paid.
  if (!crypto::seal({}, pair.seal_key))
    return fail(ErrorCode::kBadFormat, "seal_key: no X25519 key that can be sealed to");
  return pair;
}

Response pair_answer(const Services& services, const std::string& certificate) {
  return json_response(200,
                       {{"certificate", certificate}, {"poll_seconds", services.poll_seconds}});
}

Refusal wrong_code() {
  return {RefusalCode::kWrongCode, "the code is wrong, used up or older than an hour"};
}

// Who brings the code, besides whoever gave it.
struct PairedBy {
  std::optional<std::string> partner;                // account
  std::optional<crypto::Digest256> car_certificate;  // that the connection was made with
};

// The ECUs of the car with their keys; `next` is the car with what was authorised. Which of them is
// wrong is for a partner: with any code of one's own and somebody else's VIN, the serials of the
// car could be asked for here.
Answer<std::vector<CarEcu>> accept_ecus(CarAffairs& affairs, const Car& next,
                                        const PairRequest& pair, const PairedBy& by) {
  std::vector<Reason> reasons = compare_ecus(next, pair.named.ecus, pair.primary);
  // Else an ECU that lies about itself could come to speak for the whole car. A partner has the car
  // in front of him.
  if (next.pairing && next.pairing->primary != pair.primary && !by.partner)
    reasons.push_back({"primary", "another ECU is the primary of this car"});
  if (reasons.empty()) {
    std::vector<CarEcu> ecus = with_keys(next.ecus, pair.named.ecus);
    reasons = TRY(check_proofs(affairs, ecus, pair.named, pair.primary));
    if (reasons.empty()) return ecus;
  }
  return refuse(RefusalCode::kWrongEcus, "not the ECUs of this car", std::move(reasons));
}

Answer<void> check_may_change_owner(const Car& car, const PairedBy& by) {
  const Pairing& pairing = *car.pairing;
  const bool is_the_car = by.car_certificate && !pairing.revoked_at &&
                          crypto::equal_constant_time(*by.car_certificate, pairing.certificate);
  if (is_the_car || by.partner) return {};
  return refuse(RefusalCode::kAlreadyPaired,
                "the car was paired by another account: pair it from the car itself, which has a "
                "certificate, or have a partner do it");
}

// Ends the time of the owner before, if it was another one.
Answer<void> change_owner(CarAffairs& affairs, const std::string& owner, const PairedBy& by) {
  const std::optional<Pairing>& pairing = affairs.car().pairing;
  if (!pairing || pairing->owner == owner) return {};
  if (Answer<void> may = check_may_change_owner(affairs.car(), by); !may) return may;
  TRY_VOID(end_ownership(affairs));
  return {};
}

void put_pairing(CarAffairs& affairs, const PairRequest& pair,
                 const crypto::Digest256& certificate) {
  Car& car = affairs.car();
  Pairing paired{.owner = {},
                 .owned_since = affairs.now(),
                 .owned_from = 0,
                 .primary = pair.primary,
                 .certificate = certificate,
                 .seal_key = pair.seal_key,
                 .paired_at = affairs.now(),
                 .poll_seconds = affairs.services().poll_seconds};
  if (car.pairing) {
    paired.owner = car.pairing->owner;
    paired.owned_since = car.pairing->owned_since;
    paired.owned_from = car.pairing->owned_from;
  }
  car.pairing = std::move(paired);
}

// Gives the certificate.
Answer<std::string> tie(CarAffairs& affairs, const PairRequest& pair, const std::string& owner,
                        const PairedBy& by) {
  Car& car = affairs.car();
  const auto replaced =
      TRY(done_replacements(affairs.change(), car, pair.named.ecus, affairs.now()));
  Answer<std::vector<CarEcu>> ecus =
      accept_ecus(affairs, with_replacements(car, replaced), pair, by);
  if (!ecus) return tl::unexpected(std::move(ecus.error()));
  if (Answer<void> changed = change_owner(affairs, owner, by); !changed)
    return tl::unexpected(std::move(changed.error()));
  IssuedCertificate issued =
      TRY(issue_vehicle_certificate(affairs.services(), car.vin, pair.certificate_request));
  TRY_VOID(change_keys(affairs, std::move(*ecus)));
  put_pairing(affairs, pair, issued.facts.fingerprint);
  TRY_VOID(conclude_replacements(affairs, replaced));
  if (car.pairing->owner.empty())
    begin_ownership(affairs, owner);
  else
    save_car(affairs.change(), car);
  // What was said before counts no longer, and cannot be said again.
  affairs.change().erase(vehicle_state_key(car.vin));
  affairs.change().erase(renewal_key(car.vin));
  affairs.outdate_metadata();
  if (affairs.services().check_ins != nullptr)
    TRY_VOID(affairs.services().check_ins->begin(affairs));
  Json data{{"owner", owner}, {"certificate", to_hex(issued.facts.fingerprint)}};
  Json told = Json::object();
  if (by.partner) {
    data["partner"] = *by.partner;
    told["partner"] = *by.partner;
  }
  affairs.record("paired", "", data);
  affairs.tell_owner(Message::kPaired, "", std::move(told));
  return std::move(issued.pem);
}

struct CodeState {
  std::string account;
  UnixSeconds expires = 0;
  std::optional<std::string> used_by;  // digest of the request
  std::string certificate;             // that it was answered with
};

Result<std::optional<CodeState>> load_code(Change& change, const PairRequest& pair,
                                           UnixSeconds now) {
  const std::optional<std::string> text = TRY(change.get(pairing_code_key(pair.code_digest)));
  if (!text) return std::nullopt;
  const Json json = TRY(parse_stored("pairing code", *text));
  auto account = TRY(manifest::text_field(json, "account"));
  auto expires = TRY(manifest::time_field(json, "expires"));
  CodeState code{.account = std::move(account),
                 .expires = std::move(expires),
                 .used_by = std::nullopt,
                 .certificate = {}};
  if (now >= code.expires) return std::nullopt;
  if (manifest::find_field(json, "used_by")) {
    code.used_by = TRY(manifest::text_field(json, "used_by"));
    code.certificate = TRY(manifest::text_field(json, "certificate"));
    if (*code.used_by != pair.digest) return std::nullopt;
  }
  return code;
}

// A wrong code must be counted, so that refusal is committed: it comes back as a response.
Answer<Response> pair_in(const Services& services, Change& change, const PairRequest& pair,
                         const PairedBy& by) {
  const UnixSeconds now = services.clock.now();
  Result<Car> car = load_car(change, pair.vin);
  if (!car && car.error().code() == ErrorCode::kNotFound) return refuse(wrong_code());
  if (!car) return fail(car.error());
  const WrongTries tries = TRY(load_wrong_tries(change, tries_key(pair.vin), now));
  if (tries.locked())
    return refuse(RefusalCode::kPairingLocked, "too many wrong codes; try again in an hour");
  const std::optional<CodeState> code = TRY(load_code(change, pair, now));
  if (!code) {
    count_wrong_try(change, tries_key(pair.vin), tries, now);
    return to_response(refuse(wrong_code()));
  }
  if (code->used_by) return pair_answer(services, code->certificate);
  CarAffairs affairs =
      TRY(CarAffairs::begin(services, change, pair.vin, by.partner.value_or(code->account)));
  const Answer<std::string> certificate = tie(affairs, pair, code->account, by);
  if (!certificate && certificate.error().code() == RefusalCode::kWrongEcus && !by.partner) {
    // Counted and at the price of the code: who guesses the serials of a car is soon locked out.
    count_wrong_try(change, tries_key(pair.vin), tries, now);
    change.erase(pairing_code_key(pair.code_digest));
    change.erase(account_pairing_code_key(code->account));
    return to_response(refuse(RefusalCode::kWrongEcus,
                              "not the ECUs of this car; the code is used up, and a partner can "
                              "tell which of them is wrong"));
  }
  if (!certificate) return tl::unexpected(certificate.error());
  change.put(pairing_code_key(pair.code_digest), to_stored({{"account", code->account},
                                                            {"expires", format_utc(code->expires)},
                                                            {"used_by", pair.digest},
                                                            {"certificate", *certificate}}));
  change.erase(account_pairing_code_key(code->account));
  change.erase(tries_key(pair.vin));
  return pair_answer(services, *certificate);
}

// The partner in whose workshop it happens; everybody else may bring a code without a name.
Result<PairedBy> paired_by(const Services& services, const Request& request) {
  PairedBy by;
  if (request.peer) by.car_certificate = request.peer->fingerprint;
  if (!request.header("authorization").empty())
    by.partner = TRY(require_role(services, request, Role::kPartner)).account;
  return by;
}

}  // namespace

std::string pairing_code_key(std::string_view digest) {
  return "pc/" + std::string(digest);
}

std::string account_pairing_code_key(std::string_view account) {
  return "pa/" + std::string(account);
}

Response post_pairing_code(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_role(services, request, Role::kOwner));
    const UnixSeconds now = services.clock.now();
    const std::string code = make_code();
    const std::string digest = digest_of_typed_code(code);
    const UnixSeconds expires = now + kPairingCodeSeconds;
    const auto make = [&](Change& change) -> Answer<Response> {
      // An account that is erased meanwhile must not get a car.
      TRY_VOID(load_account(change, caller.account).map([](auto&&) {}));
      const std::string mine = account_pairing_code_key(caller.account);
      if (const std::optional<std::string> before = TRY(change.get(mine)))
        change.erase(pairing_code_key(*before));
      change.put(mine, digest);
      change.put(pairing_code_key(digest),
                 to_stored({{"account", caller.account}, {"expires", format_utc(expires)}}));
      forget_at(change, expires, digest.substr(0, 32), pairing_code_key(digest));
      return json_response(201, {{"code", code}, {"expires", format_utc(expires)}});
    };
    return commit_with_retry(services.store, make);
  }());
}

Response post_pair(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const PairedBy by = TRY(paired_by(services, request));
    const PairRequest pair = TRY(read_pair_request(request));
    return commit_with_retry(services.store,
                             [&](Change& change) { return pair_in(services, change, pair, by); });
  }());
}

}  // namespace layby::server
