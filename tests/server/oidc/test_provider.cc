#include "tests/server/oidc/test_provider.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/assert.h"
#include "base/bytes.h"

namespace layby::tests {

using manifest::Json;

namespace {

std::string bytes_of(const BIGNUM* number, int length = 0) {
  std::string out(static_cast<std::size_t>(length > 0 ? length : BN_num_bytes(number)), '\0');
  LAYBY_ASSERT(BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()),
                            static_cast<int>(out.size())) >= 0);
  return out;
}

std::string number_of(EVP_PKEY* key, const char* name, int length = 0) {
  BIGNUM* number = nullptr;
  LAYBY_ASSERT(EVP_PKEY_get_bn_param(key, name, &number) == 1);
  std::string out = bytes_of(number, length);
  BN_free(number);
  return out;
}

std::string raw_ecdsa(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  LAYBY_ASSERT(signature != nullptr);
  std::string out =
      bytes_of(ECDSA_SIG_get0_r(signature), 32) + bytes_of(ECDSA_SIG_get0_s(signature), 32);
  ECDSA_SIG_free(signature);
  return out;
}

}  // namespace

struct ProviderKey::State {
  EVP_PKEY* key;
  ~State() { EVP_PKEY_free(key); }
};

ProviderKey::ProviderKey(KeyType type, std::string id) : id_(std::move(id)), type_(type) {
  EVP_PKEY* key = type == KeyType::kEc    ? EVP_EC_gen("P-256")
                  : type == KeyType::kRsa ? EVP_RSA_gen(2048)
                                          : EVP_RSA_gen(1024);
  LAYBY_ASSERT(key != nullptr);
  state_.reset(new State{key});
}
ProviderKey::~ProviderKey() = default;
ProviderKey::ProviderKey(ProviderKey&&) noexcept = default;

Json ProviderKey::jwk() const {
  EVP_PKEY* key = state_->key;
  if (type_ == KeyType::kEc)
    return {{"kty", "EC"},
            {"crv", "P-256"},
            {"kid", id_},
            {"use", "sig"},
            {"x", base64url(number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, 32))},
            {"y", base64url(number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32))}};
  return {{"kty", "RSA"},
          {"kid", id_},
          {"alg", "RS256"},
          {"n", base64url(number_of(key, OSSL_PKEY_PARAM_RSA_N))},
          {"e", base64url(number_of(key, OSSL_PKEY_PARAM_RSA_E))}};
}

std::string ProviderKey::public_pem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  LAYBY_ASSERT(PEM_write_bio_PUBKEY(bio, state_->key) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return out;
}

std::string ProviderKey::sign(const std::string& text) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  LAYBY_ASSERT(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, state_->key) == 1);
  std::size_t size = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  LAYBY_ASSERT(EVP_DigestSign(context, nullptr, &size, data, text.size()) == 1);
  std::string out(size, '\0');
  LAYBY_ASSERT(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, data,
                              text.size()) == 1);
  out.resize(size);
  EVP_MD_CTX_free(context);
  return type_ == KeyType::kEc ? raw_ecdsa(out) : out;
}

std::string ProviderKey::token(const Json& header, const Json& claims) const {
  const std::string text = base64url(header.dump()) + "." + base64url(claims.dump());
  return text + "." + base64url(sign(text));
}

std::string ProviderKey::token(const Json& claims) const {
  const char* algorithm = type_ == KeyType::kEc ? "ES256" : "RS256";
  return token({{"alg", algorithm}, {"kid", id_}, {"typ", "JWT"}}, claims);
}

std::string base64url(std::string_view bytes) {
  std::string out = to_base64(as_bytes(bytes));
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  out.erase(out.find_last_not_of('=') + 1);
  return out;
}

std::string key_set(const std::vector<Json>& keys) {
  return Json{{"keys", keys}}.dump();
}

}  // namespace layby::tests
