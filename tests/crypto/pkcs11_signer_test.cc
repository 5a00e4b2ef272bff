// Keys in a token, on SoftHSM2.
#include "crypto/pkcs11_signer.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <optional>
#include <thread>

#include "base/disk.h"
#include "crypto/open_signer.h"
#include "crypto/pem_key.h"
#include "tests/crypto/softhsm.h"

using namespace layby;
using namespace layby::crypto;
using layby::tests::SoftHsm;

namespace {

std::unique_ptr<Pkcs11Signer> opened(const std::string& uri) {
  auto signer = Pkcs11Signer::open(uri, SoftHsm::kPin);
  if (!signer) FAIL(signer.error().message());
  return std::move(*signer);
}

std::optional<ErrorCode> refusal(const std::string& uri, std::string_view pin = SoftHsm::kPin) {
  const auto signer = Pkcs11Signer::open(uri, pin);
  if (signer) return std::nullopt;
  INFO(signer.error().message());
  CHECK(signer.error().message().find(SoftHsm::kPin) == std::string::npos);
  return signer.error().code();
}

}  // namespace

TEST_CASE("keys in a token sign what our own verification takes") {
  const SoftHsm token;
  token.make_key("edwards", "EC:edwards25519");
  token.make_key("nist", "EC:prime256v1");
  const auto edwards = opened(token.uri("edwards"));
  REQUIRE(edwards->public_part().scheme == PublicPart::Scheme::kEd25519);
  const auto key = array_from_hex<32>(edwards->public_part().value).value();
  const auto nist = opened(token.uri("nist"));
  REQUIRE(nist->public_part().scheme == PublicPart::Scheme::kEcdsaP256);
  const auto pem = PemKey::parse(nist->public_part().value, PemKey::Kind::kEcdsaP256).value();
  // Often enough that numbers come with leading zeros and with their highest bit set.
  for (int i = 0; i < 300; ++i) {
    const Bytes message = to_bytes(std::string(static_cast<std::size_t>(i), 'x'));
    CHECK(pem.verify(message, nist->sign(message).value()));
    if (i % 30 != 0) continue;
    const auto signature = edwards->sign(message);
    INFO((signature ? "" : signature.error().message()));
    REQUIRE(signature);
    CHECK(verify_ed25519(key, message, *signature));
  }
  CHECK_FALSE(pem.verify(to_bytes("other"), nist->sign(to_bytes("one")).value()));
}

TEST_CASE("a token is asked by several threads, one at a time") {
  const SoftHsm token;
  token.make_key("shared", "EC:edwards25519");
  const auto signer = opened(token.uri("shared"));
  const auto key = array_from_hex<32>(signer->public_part().value).value();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const Bytes message = to_bytes(fmt::format("{} {}", t, i));
        const auto signature = signer->sign(message);
        if (signature && verify_ed25519(key, message, *signature)) ++good;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 100);
}

TEST_CASE("what is no key of ours in a token is refused by name") {
  const SoftHsm token;
  token.make_key("good", "EC:edwards25519");
  token.make_key("large-curve", "EC:secp384r1");
  token.make_key("rsa", "rsa:2048");
  CHECK(refusal(token.uri("good")) == std::nullopt);
  CHECK(refusal(token.uri("good"), "000000") == ErrorCode::kUnauthenticated);
  CHECK(refusal(token.uri("absent")) == ErrorCode::kNotFound);
  CHECK(refusal(token.uri("large-curve")) == ErrorCode::kUnsupported);
  CHECK(refusal(token.uri("rsa")) == ErrorCode::kUnsupported);
  CHECK(refusal("pkcs11:token=other;object=good?module-path=/usr/lib/softhsm/libsofthsm2.so") ==
        ErrorCode::kNotFound);
  CHECK(refusal("pkcs11:token=test?module-path=/usr/lib/softhsm/libsofthsm2.so") ==
        ErrorCode::kInvalidArgument);
  CHECK(refusal("pkcs11:token=test;object=good") == ErrorCode::kInvalidArgument);
  CHECK(refusal("pkcs11:token=test;object=good?module-path=/nowhere/module.so") == ErrorCode::kIo);
  CHECK(refusal("a file") == ErrorCode::kInvalidArgument);
}

TEST_CASE("a reference is a key file or a token's URI") {
  const SoftHsm token;
  token.make_key("either", "EC:edwards25519");
  RealDisk disk;
  const auto signer = open_signer(disk, token.uri("either"), SoftHsm::kPin);
  REQUIRE(signer);
  CHECK((*signer)->sign(to_bytes("message")));
  CHECK(open_signer(disk, "/nowhere/a.key", "x").error().code() == ErrorCode::kNotFound);
}
