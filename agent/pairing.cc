#include "agent/pairing.h"

#include "agent/journal.h"
#include "agent/named_ecus.h"
#include "base/limits.h"
#include "crypto/certificate.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

constexpr std::uint64_t kAnswerBytesMax = 64 * kKiB;
constexpr std::uint64_t kTlsKeyBytesMax = 16 * kKiB;

Result<std::string> request_body(Disk& disk, const Layout& layout, const CarIdentity& identity,
                                 const std::string& code, const std::vector<MetEcu>& others) {
  const CarKeys keys = TRY(read_keys(disk, layout));
  const Bytes tls_key = TRY(read_file(disk, layout.tls_key(), kTlsKeyBytesMax));
  const std::string request =
      TRY(crypto::make_request(std::string(as_text(tls_key)), identity.vin.text()));
  manifest::Json ecus = TRY(named_ecus(identity, keys, others));
  const manifest::Json body = {
      {"vin", identity.vin.text()},     {"code", code},
      {"certificate_request", request}, {"seal_key", to_hex(keys.seal.public_key)},
      {"primary", identity.ecu.text()}, {"ecus", std::move(ecus)}};
  return manifest::to_wire(body);
}

// Where the car was, and what it found for that, was the business of who had it before (P1.10).
Result<void> forget_where_it_was(Disk& disk, const Layout& layout) {
  Journal journal = TRY(Journal::open(disk, layout.directory()));
  Record& record = journal.record();
  if (record.visits.empty() && record.map_found.empty() && record.maps_announced.empty()) return {};
  record.visits.clear();
  record.map_found.clear();
  record.maps_announced.clear();
  record.map_ask_next = 0;
  return journal.save();
}

}  // namespace

Result<void> pair(Disk& disk, const Layout& layout, Transport& transport, const std::string& code,
                  const std::string& partner_token, SecondaryLink* secondaries) {
  CarIdentity identity = TRY(read_identity(disk, layout));
  std::map<std::string, std::string> headers{{"Content-Type", "application/json"}};
  if (!partner_token.empty()) headers["Authorization"] = "Bearer " + partner_token;
  EcuList ecus = TRY(read_ecu_list(disk, layout));
  const std::vector<MetEcu> others = TRY(meet_all(secondaries, ecus));
  std::string body = TRY(request_body(disk, layout, identity, code, others));
  const HttpResponse response = TRY(transport.exchange({.method = HttpRequest::Method::kPost,
                                                        .path = "/v1/pair",
                                                        .headers = std::move(headers),
                                                        .body = std::move(body),
                                                        .bytes_max = kAnswerBytesMax}));
  if (response.status >= 400 && response.status < 500 && response.status != 429)
    return fail(ErrorCode::kForbidden, "pairing was refused: {}", problem_of(response));
  if (response.status != 200)
    return fail(ErrorCode::kUnavailable, "pairing did not work: {}", problem_of(response));
  const manifest::Json answer =
      TRY(manifest::parse_strict(as_bytes(response.body), {.bytes_max = kAnswerBytesMax}));
  const std::string certificate = TRY(manifest::text_field(answer, "certificate"));
  const auto facts = TRY(crypto::read_certificate(certificate));
  if (facts.common_name != identity.vin.text())
    return fail(ErrorCode::kBadFormat, "the certificate is for {} and not for {}",
                facts.common_name, identity.vin.text());
  identity.poll_seconds = TRY(manifest::uint_field(answer, "poll_seconds"));
  TRY_VOID(write_identity(disk, layout, identity));
  const Bytes key = TRY(read_file(disk, layout.tls_key(), kTlsKeyBytesMax));
  const std::string key_pem(as_text(key));
  TRY_VOID(crypto::check_key_of_certificate(certificate, key_pem));
  TRY_VOID(forget_where_it_was(disk, layout));
  if (!ecus.addresses.empty()) TRY_VOID(write_ecu_list(disk, layout, ecus));
  TRY_VOID(disk.remove(layout.renewal()));
  // The mark: last. With its key, so that a renewed one changes both at once.
  return replace_file(disk, layout.certificate(), as_bytes(certificate + key_pem));
}

}  // namespace layby::agent
