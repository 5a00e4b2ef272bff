// What a car sends as its certificate request, and certificates as they are shown: the first byte
// says which, and whether the rest is the PEM or the DER in it. A certificate is issued to the name
// that was asked for, whatever stands in the request; a name that was read is written the same.
#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/certificate.h"

using namespace layby;
using namespace layby::crypto;

namespace {

constexpr Validity kValidity = {1'700'000'000, 1'800'000'000};
constexpr const char* kVin = "WVWZZZ1JZXW000017";

struct World {
  TlsIdentity authority = *make_authority("Layby fuzz", kValidity);
  std::string key = generate_tls_key();
  std::string request = *make_request(key, "somebody");
};

std::string pem_of(const char* label, ByteSpan der) {
  const std::string text = to_base64(der);
  std::string pem = fmt::format("-----BEGIN {}-----\n", label);
  for (std::size_t at = 0; at < text.size(); at += 64) pem += text.substr(at, 64) + "\n";
  return pem + fmt::format("-----END {}-----\n", label);
}

void check_request(const World& world, const std::string& pem) {
  const auto issued =
      issue_certificate(world.authority, pem, {kVin, ""}, CertificateUse::kVehicle, kValidity);
  if (!issued) return;
  const auto facts = read_certificate(*issued);
  LAYBY_ASSERT(facts && facts->common_name == kVin);
  LAYBY_ASSERT(facts->validity.not_before == kValidity.not_before &&
               facts->validity.not_after == kValidity.not_after);
  LAYBY_ASSERT(!check_key_of_certificate(*issued, world.authority.key_pem));
}

void check_certificate(const World& world, const std::string& pem) {
  const auto facts = read_certificate(pem);
  LAYBY_ASSERT(!check_key_of_certificate(pem, world.key));
  if (!facts) return;
  LAYBY_ASSERT(!facts->common_name.empty() && facts->common_name.find('\0') == std::string::npos);
  LAYBY_ASSERT(read_certificate(pem)->fingerprint == facts->fingerprint);
  if (facts->common_name.size() > 64) return;
  const auto issued = issue_certificate(world.authority, world.request, {facts->common_name, ""},
                                        CertificateUse::kVehicle, kValidity);
  if (!issued) return;
  LAYBY_ASSERT(read_certificate(*issued)->common_name == facts->common_name);
  LAYBY_ASSERT(check_key_of_certificate(*issued, world.key));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const ByteSpan rest{data + 1, size - 1};
  switch (data[0] % 4) {
    case 0: check_request(world, std::string(as_text(rest))); break;
    case 1: check_request(world, pem_of("CERTIFICATE REQUEST", rest)); break;
    case 2: check_certificate(world, std::string(as_text(rest))); break;
    case 3: check_certificate(world, pem_of("CERTIFICATE", rest)); break;
  }
  return 0;
}
