#include "crypto/certificate.h"

#include <catch2/catch.hpp>

using namespace layby;
using namespace layby::crypto;

namespace {
constexpr Validity kYear{1'700'000'000, 1'731'536'000};
}

TEST_CASE("an authority issues what it was told, for the key in the request") {
  const TlsIdentity authority = make_authority("Layby test CA", kYear).value();
  const std::string key = generate_tls_key();
  const std::string request = make_request(key, "somebody else").value();
  const auto issued = issue_certificate(authority, request, {"WVWZZZ1JZXW000001", ""},
                                        CertificateUse::kVehicle, {1'700'000'000, 1'700'086'400});
  const CertificateFacts facts = read_certificate(issued.value()).value();
  CHECK(facts.common_name == "WVWZZZ1JZXW000001");
  CHECK(facts.validity.not_before == 1'700'000'000);
  CHECK(facts.validity.not_after == 1'700'086'400);
  CHECK(facts.fingerprint != read_certificate(authority.certificate_pem).value().fingerprint);
}

TEST_CASE("requests that are damaged or not ours are refused") {
  const TlsIdentity authority = make_authority("Layby test CA", kYear).value();
  const auto issue = [&](const std::string& request) {
    return issue_certificate(authority, request, {"x", ""}, CertificateUse::kVehicle, kYear);
  };
  CHECK(issue("").error().code() == ErrorCode::kBadFormat);
  CHECK(issue(authority.certificate_pem).error().code() == ErrorCode::kBadFormat);
  std::string request = make_request(generate_tls_key(), "x").value();
  const std::size_t at = request.size() / 2;
  request[at] = request[at] == 'A' ? 'B' : 'A';
  CHECK_FALSE(issue(request).has_value());
}
