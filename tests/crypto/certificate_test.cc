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

TEST_CASE("a common name is whole and one, or there is no certificate") {
  const TlsIdentity authority = make_authority("Layby test CA", kYear).value();
  const std::string request = make_request(generate_tls_key(), "x").value();
  const auto issue = [&](const std::string& name, Validity validity = kYear) {
    return issue_certificate(authority, request, {name, ""}, CertificateUse::kVehicle, validity);
  };
  CHECK(read_certificate(issue(std::string(64, 'n')).value()).value().common_name ==
        std::string(64, 'n'));
  const std::string with_zero("WVWZZZ1JZXW000001\0.example", 26);
  for (const std::string& name : {std::string(), std::string(65, 'n'), with_zero}) {
    const auto issued = issue(name);
    REQUIRE_FALSE(issued.has_value());
    CHECK(issued.error().code() == ErrorCode::kInvalidArgument);
    CHECK_FALSE(make_request(generate_tls_key(), name).has_value());
    CHECK_FALSE(make_authority(name, kYear).has_value());
  }
  CHECK_FALSE(issue("x", {kYear.not_before, 400'000'000'000}).has_value());
}

// openssl ecparam -name secp256k1 -genkey -noout | openssl req -new -subj /CN=x -key /dev/stdin
constexpr const char* kOtherCurve = R"(-----BEGIN CERTIFICATE REQUEST-----
MIHEMGsCAQAwDDEKMAgGA1UEAwwBeDBWMBAGByqGSM49AgEGBSuBBAAKA0IABEoL
RU/0k1hl/Lug+1cknqsX43oImK3Al1PeHylSbgOqIvadwduf/JCQtddVJyH2XOb5
brrltvnoEQCCKXPazPigADAKBggqhkjOPQQDAgNJADBGAiEAr5HE/SHV9CwuRKXQ
WjRThq+9NSmkq+SeZCc84mP4ZAYCIQCJbnt0fBI4Jgcpw2771cGx6j1DkFDUvS98
L/1qv1pa7A==
-----END CERTIFICATE REQUEST-----
)";

TEST_CASE("a request for another curve of 256 bits is refused") {
  const TlsIdentity authority = make_authority("Layby test CA", kYear).value();
  const auto issued =
      issue_certificate(authority, kOtherCurve, {"x", ""}, CertificateUse::kVehicle, kYear);
  REQUIRE_FALSE(issued.has_value());
  CHECK(issued.error().message().find("P-256") != std::string::npos);
}

TEST_CASE("a request that claims to be encrypted makes nobody wait at a terminal") {
  const TlsIdentity authority = make_authority("Layby test CA", kYear).value();
  std::string request = make_request(generate_tls_key(), "x").value();
  request.insert(request.find('\n') + 1,
                 "Proc-Type: 4,ENCRYPTED\n"
                 "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n");
  const auto issued =
      issue_certificate(authority, request, {"x", ""}, CertificateUse::kVehicle, kYear);
  REQUIRE_FALSE(issued.has_value());
  // "problems getting password" is what the library says after it has tried the terminal.
  INFO(issued.error().message());
  CHECK(issued.error().message().find("bad password read") != std::string::npos);
}
