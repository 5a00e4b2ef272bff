#include "server/fleet/vehicle_certificate.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr UnixSeconds kClockSkewSeconds = kDaySeconds;

Json certificate_answer(const std::string& pem, UnixSeconds expires) {
  return {{"certificate", pem}, {"expires", format_utc(expires)}};
}

Result<Response> renew(CarAffairs& affairs, const std::string& request_pem) {
  Car& car = affairs.car();
  Change& change = affairs.change();
  if (!car.pairing) return fail(ErrorCode::kForbidden, "the car is not paired");
  const std::string digest = to_hex(crypto::sha256(as_bytes(request_pem)));
  if (const std::optional<std::string> waiting = TRY(change.get(renewal_key(car.vin)))) {
    const Json json = TRY(parse_stored("renewal", *waiting));
    if (TRY(manifest::text_field(json, "request")) == digest) {
      const std::string pem = TRY(manifest::text_field(json, "certificate"));
      const crypto::CertificateFacts facts = TRY(crypto::read_certificate(pem));
      return json_response(200, certificate_answer(pem, facts.validity.not_after));
    }
  }
  const IssuedCertificate issued =
      TRY(issue_vehicle_certificate(affairs.services(), car.vin, request_pem));
  car.pairing->next_certificate = issued.facts.fingerprint;
  save_car(change, car);
  change.put(renewal_key(car.vin), to_stored({{"request", digest}, {"certificate", issued.pem}}));
  affairs.record("certificate-issued", "",
                 {{"certificate", to_hex(issued.facts.fingerprint)},
                  {"expires", format_utc(issued.facts.validity.not_after)}});
  return json_response(200, certificate_answer(issued.pem, issued.facts.validity.not_after));
}

}  // namespace

std::string renewal_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "renewal";
}

Result<IssuedCertificate> issue_vehicle_certificate(const Services& services,
                                                    const manifest::Vin& vin,
                                                    const std::string& request_pem) {
  if (request_pem.size() > kCertificateRequestBytesMax)
    return fail(ErrorCode::kTooLarge, "certificate_request: at most {} bytes",
                kCertificateRequestBytesMax);
  const UnixSeconds now = services.clock.now();
  std::string pem = TRY(crypto::issue_certificate(
      services.vehicle_authority, request_pem, {.common_name = vin.text(), .subject_alt_names = {}},
      crypto::CertificateUse::kVehicle,
      {.not_before = now - kClockSkewSeconds,
       .not_after = now + services.vehicle_certificate_seconds}));
  crypto::CertificateFacts facts = TRY(crypto::read_certificate(pem));
  return IssuedCertificate{.pem = std::move(pem), .facts = std::move(facts)};
}

Result<bool> accept_vehicle_certificate(const Services& services, const Car& car,
                                        const crypto::Digest256& fingerprint) {
  if (!car.pairing || car.pairing->revoked_at) return false;
  if (crypto::equal_constant_time(car.pairing->certificate, fingerprint)) return true;
  if (!car.pairing->next_certificate ||
      !crypto::equal_constant_time(*car.pairing->next_certificate, fingerprint))
    return false;
  return commit_with_retry(services.store, [&](Change& change) -> Result<bool> {
    CarAffairs affairs = TRY(CarAffairs::begin(services, change, car.vin, car.vin.text()));
    std::optional<Pairing>& pairing = affairs.car().pairing;
    if (!pairing || pairing->revoked_at) return false;
    if (pairing->certificate == fingerprint) return true;  // another request was faster
    if (pairing->next_certificate != fingerprint) return false;
    pairing->certificate = fingerprint;
    pairing->next_certificate.reset();
    save_car(change, affairs.car());
    change.erase(renewal_key(car.vin));
    affairs.outdate_metadata();
    affairs.record("certificate-renewed", "", {{"certificate", to_hex(fingerprint)}});
    return true;
  });
}

Response post_vehicle_certificate(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const manifest::Vin vin = TRY(require_vehicle(services, request));
    const Json body = TRY(json_body(request));
    TRY_VOID(check_fields(body, {"certificate_request"}));
    const std::string pem = TRY(manifest::text_field(body, "certificate_request"));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, vin.text()));
      // Revoked since it was let in: the commit would not notice without this look.
      if (affairs.car().pairing && affairs.car().pairing->revoked_at)
        return fail(ErrorCode::kUnauthenticated, "the certificate is revoked");
      return TRY(renew(affairs, pem));
    });
  }());
}

Response delete_vehicle_certificate(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_role(services, request, Role::kOperator));
    const manifest::Vin vin = TRY(manifest::Vin::parse(request.path_values.at("vin")));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, caller.account));
      Car& car = affairs.car();
      if (!car.pairing) return fail(ErrorCode::kNotFound, "the car has no certificate");
      Response response;
      response.status = 204;
      if (car.pairing->revoked_at) return response;
      car.pairing->revoked_at = affairs.now();
      car.pairing->next_certificate.reset();
      save_car(change, car);
      change.erase(renewal_key(vin));
      affairs.outdate_metadata();
      affairs.record("certificate-revoked", "",
                     {{"certificate", to_hex(car.pairing->certificate)}});
      affairs.tell_owner(Message::kCertificateRevoked, "");
      return response;
    });
  }());
}

}  // namespace layby::server
