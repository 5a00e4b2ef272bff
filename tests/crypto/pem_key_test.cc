// Signatures here are OpenSSL's own; what only verifies is tested with what only signs.
#include "crypto/pem_key.h"

// For the setters of single RSA numbers.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <catch2/catch.hpp>

#include "base/deleter.h"

namespace layby::tests {
namespace {

using crypto::PemKey;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Kind = PemKey::Kind;

std::string pem_of(EVP_PKEY* key, bool as_pkcs1 = false) {
  const std::unique_ptr<BIO, Deleter<BIO_free_all>> bio(BIO_new(BIO_s_mem()));
  if (as_pkcs1) {
    unsigned char* der = nullptr;
    const int size = i2d_PublicKey(key, &der);
    PEM_write_bio(bio.get(), "RSA PUBLIC KEY", "", der, size);
    OPENSSL_free(der);
  } else {
    PEM_write_bio_PUBKEY(bio.get(), key);
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

struct Options {
  bool pss = false;
  int salt = RSA_PSS_SALTLEN_DIGEST;
  const EVP_MD* digest = EVP_sha256();
};

Bytes sign(EVP_PKEY* key, std::string_view message, Options options = {}) {
  const std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;
  REQUIRE(EVP_DigestSignInit(context.get(), &parameters, options.digest, nullptr, key) == 1);
  if (options.pss) {
    EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, options.salt);
  }
  const ByteSpan bytes = as_bytes(message);
  std::size_t size = 0;
  REQUIRE(EVP_DigestSign(context.get(), nullptr, &size, bytes.data(), bytes.size()) == 1);
  Bytes signature(size);
  REQUIRE(EVP_DigestSign(context.get(), signature.data(), &size, bytes.data(), bytes.size()) == 1);
  signature.resize(size);
  return signature;
}

bool is_refused(const std::string& pem, Kind kind) {
  const auto key = PemKey::parse(pem, kind);
  return !key && key.error().code() == ErrorCode::kBadFormat;
}

TEST_CASE("ECDSA on P-256 verifies what that key signed, and nothing else") {
  const Key key(EVP_EC_gen("P-256"));
  const PemKey parsed = PemKey::parse(pem_of(key.get()), Kind::kEcdsaP256).value();
  Bytes signature = sign(key.get(), "message");
  CHECK(parsed.verify(as_bytes("message"), signature));
  CHECK_FALSE(parsed.verify(as_bytes("massage"), signature));
  CHECK_FALSE(parsed.verify(as_bytes("message"), {}));
  CHECK_FALSE(
      parsed.verify(as_bytes("message"), sign(key.get(), "message", {.digest = EVP_sha384()})));
  CHECK_FALSE(PemKey::parse(pem_of(Key(EVP_EC_gen("P-256")).get()), Kind::kEcdsaP256)
                  ->verify(as_bytes("message"), signature));
  signature.push_back(0);  // DER and nothing behind it
  CHECK_FALSE(parsed.verify(as_bytes("message"), signature));
}

TEST_CASE("RSA verifies PSS with SHA-256, whatever the length of the salt") {
  const Key key(EVP_RSA_gen(2048));
  for (const bool as_pkcs1 : {false, true}) {
    const PemKey parsed = PemKey::parse(pem_of(key.get(), as_pkcs1), Kind::kRsa).value();
    for (const int salt : {RSA_PSS_SALTLEN_DIGEST, RSA_PSS_SALTLEN_MAX, 0}) {
      const Bytes signature = sign(key.get(), "message", {.pss = true, .salt = salt});
      CHECK(parsed.verify(as_bytes("message"), signature));
      CHECK_FALSE(parsed.verify(as_bytes("massage"), signature));
    }
    // PKCS#1 v1.5 and other digests are other schemes.
    CHECK_FALSE(parsed.verify(as_bytes("message"), sign(key.get(), "message")));
    CHECK_FALSE(parsed.verify(as_bytes("message"),
                              sign(key.get(), "message", {.pss = true, .digest = EVP_sha512()})));
  }
}

TEST_CASE("weak keys, other curves and kinds are refused") {
  CHECK(is_refused(pem_of(Key(EVP_RSA_gen(1024)).get()), Kind::kRsa));
  CHECK(is_refused(pem_of(Key(EVP_EC_gen("P-384")).get()), Kind::kEcdsaP256));
  CHECK(is_refused(pem_of(Key(EVP_EC_gen("secp256k1")).get()), Kind::kEcdsaP256));
  const std::string ec = pem_of(Key(EVP_EC_gen("P-256")).get());
  CHECK(is_refused(ec, Kind::kRsa));
  const Key rsa(EVP_RSA_gen(2048));
  CHECK(is_refused(pem_of(rsa.get()), Kind::kEcdsaP256));
  CHECK(is_refused(pem_of(rsa.get(), true), Kind::kEcdsaP256));
}

// The same modulus with an exponent that was not chosen by OpenSSL.
Key with_exponent(EVP_PKEY* rsa, const std::string& hex) {
  BIGNUM* modulus = nullptr;
  REQUIRE(EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1);
  BIGNUM* exponent = nullptr;
  REQUIRE(BN_hex2bn(&exponent, hex.c_str()) > 0);
  RSA* made = RSA_new();  // takes both numbers
  REQUIRE(RSA_set0_key(made, modulus, exponent, nullptr) == 1);
  Key key(EVP_PKEY_new());
  REQUIRE(EVP_PKEY_assign_RSA(key.get(), made) == 1);
  return key;
}

TEST_CASE("RSA exponents that make signatures cheap to forge or dear to verify are refused") {
  const Key rsa(EVP_RSA_gen(2048));
  for (const char* good : {"10001", "10003", "FFFFFFFFFFFFFFFF"})
    CHECK_FALSE(is_refused(pem_of(with_exponent(rsa.get(), good).get()), Kind::kRsa));
  const std::string of_2048_bits = "7" + std::string(511, 'F');
  for (const std::string bad : {"1", "2", "3", "11", "FFFF", "10000", "10002", "10000000000000001"})
    CHECK(is_refused(pem_of(with_exponent(rsa.get(), bad).get()), Kind::kRsa));
  CHECK(is_refused(pem_of(with_exponent(rsa.get(), of_2048_bits).get()), Kind::kRsa));
}

TEST_CASE("one modulus is one key, whatever its exponent") {
  const Key rsa(EVP_RSA_gen(2048));
  const std::string other = pem_of(with_exponent(rsa.get(), "10003").get());
  CHECK(PemKey::parse(other, Kind::kRsa)->value() ==
        PemKey::parse(pem_of(rsa.get()), Kind::kRsa)->value());
}

TEST_CASE("a key has one encoding, and a signature one length") {
  const Key key(EVP_EC_gen("P-256"));
  const std::string pem = pem_of(key.get());
  std::string text = pem.substr(27, pem.size() - 27 - 25);
  std::erase(text, '\n');
  Bytes der = from_base64(text).value();
  REQUIRE(der[1] < 0x80);
  der.insert(der.begin() + 1, 0x81);  // BER: the length in a longer form
  CHECK(is_refused("-----BEGIN PUBLIC KEY-----\n" + to_base64(der) + "\n-----END PUBLIC KEY-----",
                   Kind::kEcdsaP256));
  // RFC 5480, section 2.1.1: the curve by its name.
  REQUIRE(EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_ENCODING, "explicit") == 1);
  const std::string spelled_out = pem_of(key.get());
  REQUIRE(spelled_out.size() > pem.size());
  CHECK(is_refused(spelled_out, Kind::kEcdsaP256));
  // RFC 8017, section 8.1.2, step 1: a signature is as long as the modulus.
  const Key rsa(EVP_RSA_gen(2048));
  const PemKey parsed = PemKey::parse(pem_of(rsa.get()), Kind::kRsa).value();
  Bytes signature;
  do {
    signature = sign(rsa.get(), "message", {.pss = true});
  } while (signature.front() != 0);
  CHECK(parsed.verify(as_bytes("message"), signature));
  signature.erase(signature.begin());
  CHECK_FALSE(parsed.verify(as_bytes("message"), signature));
}

TEST_CASE("a PEM is one block and nothing else") {
  const std::string pem = pem_of(Key(EVP_EC_gen("P-256")).get());
  const auto kind = Kind::kEcdsaP256;
  CHECK(PemKey::parse("\r\n " + pem + "\n\n", kind));
  CHECK(PemKey::parse(pem.substr(0, pem.size() - 1), kind));
  CHECK(is_refused("", kind));
  CHECK(is_refused("note\n" + pem, kind));
  CHECK(is_refused(pem + "note", kind));
  CHECK(is_refused(pem + pem, kind));
  CHECK(is_refused(pem.substr(0, pem.size() - 10), kind));
  CHECK(is_refused("-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----", kind));
  CHECK(
      is_refused("-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\n\n" + pem.substr(27), kind));
  CHECK(is_refused(
      "-----BEGIN PUBLIC KEY-----" + std::string(1'000'000, 'A') + "-----END PUBLIC KEY-----",
      kind));
  // One byte behind the key, in the encoding.
  std::string text = pem.substr(27, pem.size() - 27 - 25);
  std::erase(text, '\n');
  Bytes der = from_base64(text).value();
  der.push_back(0);
  CHECK(is_refused("-----BEGIN PUBLIC KEY-----\n" + to_base64(der) + "\n-----END PUBLIC KEY-----",
                   kind));
}

TEST_CASE("the same key has the same value, however it is written") {
  const Key ec(EVP_EC_gen("P-256"));
  const std::string plain = pem_of(ec.get());
  EVP_PKEY_set_utf8_string_param(ec.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                 OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED);
  const std::string compressed = pem_of(ec.get());
  CHECK(plain != compressed);
  const auto value = [](const std::string& pem, Kind kind) {
    return PemKey::parse(pem, kind).value().value();
  };
  CHECK(value(plain, Kind::kEcdsaP256) == value(compressed, Kind::kEcdsaP256));
  const Key rsa(EVP_RSA_gen(2048));
  CHECK(value(pem_of(rsa.get()), Kind::kRsa) == value(pem_of(rsa.get(), true), Kind::kRsa));
  CHECK(value(pem_of(rsa.get()), Kind::kRsa) !=
        value(pem_of(Key(EVP_RSA_gen(2048)).get()), Kind::kRsa));
}

}  // namespace
}  // namespace layby::tests
