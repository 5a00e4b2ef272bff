#include "agent/certificate_renewal.h"

#include "base/limits.h"
#include "crypto/certificate.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

constexpr std::uint64_t kPemBytesMax = 64 * kKiB;
constexpr std::uint64_t kAnswerBytesMax = 64 * kKiB;
constexpr std::string_view kRequestBegins = "-----BEGIN CERTIFICATE REQUEST-----";

Result<std::string> read_text(Disk& disk, const std::string& path) {
  const Bytes bytes = TRY(read_file(disk, path, kPemBytesMax));
  return std::string(as_text(bytes));
}

// A new key and the request for it, kept until the answer is there.
struct Request {
  std::string key_pem;
  std::string request_pem;
};

Result<Request> load_or_make_request(Disk& disk, const Layout& layout,
                                     const CarIdentity& identity) {
  if (const auto kept = read_text(disk, layout.renewal())) {
    const std::size_t at = kept->find(kRequestBegins);
    if (at != std::string::npos && at > 0)
      return Request{.key_pem = kept->substr(0, at), .request_pem = kept->substr(at)};
  }
  Request made;
  made.key_pem = crypto::generate_tls_key();
  made.request_pem = TRY(crypto::make_request(made.key_pem, identity.vin.text()));
  TRY_VOID(replace_file(disk, layout.renewal(), as_bytes(made.key_pem + made.request_pem)));
  return made;
}

}  // namespace

CertificateRenewal::CertificateRenewal(Disk& disk, Transport& transport, const Layout& layout,
                                       const CarIdentity& identity)
    : disk_(disk), transport_(transport), layout_(layout), identity_(identity) {
  look_at_certificate();
}

void CertificateRenewal::look_at_certificate() {
  due_ = 0;
  const auto pem = read_text(disk_, layout_.certificate());
  if (!pem) return;
  const auto facts = crypto::read_certificate(*pem);
  if (!facts) return;
  const crypto::Validity& validity = facts->validity;
  due_ = validity.not_before + (validity.not_after - validity.not_before) / 2;
}

// What cannot be used is made anew the next time: one damaged request must not last until the
// certificate has expired.
Result<void> CertificateRenewal::renew(UnixSeconds now) {
  next_try_ = now + kDaySeconds;
  bool is_useless = false;
  const Result<void> renewed = try_to_renew(is_useless);
  if (is_useless) TRY_VOID(disk_.remove(layout_.renewal()));
  return renewed;
}

Result<void> CertificateRenewal::try_to_renew(bool& is_useless) {
  const Request request = TRY(load_or_make_request(disk_, layout_, identity_));
  const manifest::Json json = {{"certificate_request", request.request_pem}};
  std::string body = TRY(manifest::to_wire(json));
  const HttpResponse response =
      TRY(transport_.exchange({.method = HttpRequest::Method::kPost,
                               .path = "/v1/vehicle/certificate",
                               .headers = {{"Content-Type", "application/json"}},
                               .body = std::move(body),
                               .bytes_max = kAnswerBytesMax}));
  is_useless = response.status == 400 || response.status == 422;
  if (response.status != 200)
    return fail(ErrorCode::kUnavailable, "the server answered {} to the request for a certificate",
                response.status);
  const manifest::Json answer =
      TRY(manifest::parse_strict(as_bytes(response.body), {.bytes_max = kAnswerBytesMax}));
  const std::string certificate = TRY(manifest::text_field(answer, "certificate"));
  const auto facts = TRY(crypto::read_certificate(certificate));
  if (facts.common_name != identity_.vin.text())
    return fail(ErrorCode::kBadFormat, "the certificate is for {} and not for {}",
                facts.common_name, identity_.vin.text());
  // With one for another key the car would never reach the server again.
  const auto fits = crypto::check_key_of_certificate(certificate, request.key_pem);
  is_useless = !fits;
  TRY_VOID(fits);
  TRY_VOID(replace_file(disk_, layout_.certificate(), as_bytes(certificate + request.key_pem)));
  look_at_certificate();
  TRY_VOID(disk_.remove(layout_.renewal()));
  return disk_.sync_dir(layout_.keys());
}

Result<void> join_certificate_and_key(Disk& disk, const Layout& layout) {
  const std::string certificate = TRY(read_text(disk, layout.certificate()));
  if (certificate.find("PRIVATE KEY-----") != std::string::npos) return {};
  const std::string key = TRY(read_text(disk, layout.tls_key()));
  TRY_VOID(crypto::check_key_of_certificate(certificate, key));
  return replace_file(disk, layout.certificate(), as_bytes(certificate + key));
}

bool can_show_certificate(Disk& disk, const Layout& layout, UnixSeconds now) {
  if (!join_certificate_and_key(disk, layout)) return false;
  const auto pem = read_text(disk, layout.certificate());
  if (!pem) return false;
  const auto facts = crypto::read_certificate(*pem);
  return facts && facts->validity.not_after > now;
}

}  // namespace layby::agent
