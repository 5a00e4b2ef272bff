#include "crypto/pem_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <optional>

#include "base/deleter.h"

namespace layby::crypto {
namespace {

using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BN_free>>;

void free_encoding(unsigned char* bytes) {
  OPENSSL_free(bytes);
}

constexpr std::size_t kPemBytesMax = 8 * 1024;  // an RSA key of 8192 bits has about 1500
constexpr int kExponentBitsMin = 17;
constexpr int kExponentBitsMax = 64;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The bytes of the one block that is all of `pem`; nothing where it is another.
std::optional<Bytes> block_of(std::string_view pem, std::string_view label) {
  const std::string begin = fmt::format("-----BEGIN {}-----", label);
  const std::string end = fmt::format("-----END {}-----", label);
  pem = trimmed(pem);
  if (pem.size() > kPemBytesMax || pem.size() < begin.size() + end.size() ||
      !pem.starts_with(begin) || !pem.ends_with(end))
    return std::nullopt;
  pem.remove_prefix(begin.size());
  pem.remove_suffix(end.size());
  std::string text;
  for (const char c : pem)
    if (!is_space(c)) text += c;
  auto bytes = from_base64(text);
  if (!bytes) return std::nullopt;
  return std::move(*bytes);
}

// DER has one encoding of each key; what OpenSSL would write otherwise is BER, or something that it
// passed over.
bool is_encoding_of(EVP_PKEY* key, ByteSpan der, int (*encode)(const EVP_PKEY*, unsigned char**)) {
  unsigned char* raw = nullptr;
  const int size = encode(key, &raw);
  const std::unique_ptr<unsigned char, Deleter<free_encoding>> own(raw);
  return size > 0 && std::ranges::equal(der, ByteSpan(raw, static_cast<std::size_t>(size)));
}

// All of the bytes, or nothing.
Key decode(std::string_view pem, PemKey::Kind kind) {
  auto der = block_of(pem, "PUBLIC KEY");
  const bool is_wrapped = der.has_value();
  if (!der && kind == PemKey::Kind::kRsa) der = block_of(pem, "RSA PUBLIC KEY");
  if (!der) return nullptr;
  const unsigned char* at = der->data();
  const auto size = static_cast<long>(der->size());
  Key key(is_wrapped ? d2i_PUBKEY(nullptr, &at, size)
                     : d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, size));
  if (!key || at != der->data() + der->size()) return nullptr;
  return is_encoding_of(key.get(), *der, is_wrapped ? i2d_PUBKEY : i2d_PublicKey) ? std::move(key)
                                                                                  : nullptr;
}

Number number_of(EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  return EVP_PKEY_get_bn_param(key, name, &raw) == 1 ? Number(raw) : nullptr;
}

std::string hex_of(const BIGNUM* number) {
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, bytes.data());
  return to_hex(bytes);
}

// RFC 5480, section 2.1.1: the curve by its name; one that is spelled out may be another.
std::optional<std::string> ecdsa_value(EVP_PKEY* key) {
  char group[64] = "";  // by name: there are other curves of 256 bits
  int is_spelled_out = 0;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) != 1 ||
      std::string_view(group) != "prime256v1" ||
      EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                             &is_spelled_out) != 1 ||
      is_spelled_out != 0)
    return std::nullopt;
  const Number x = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X);
  const Number y = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y);
  if (!x || !y) return std::nullopt;
  return fmt::format("ecdsa-p256:{}:{}", hex_of(x.get()), hex_of(y.get()));
}

// FIPS 186-4, B.3.1: an odd exponent above 2^16. With 1 every message is its own signature; one of
// thousands of bits only costs time. The value is the modulus alone: who can factor it has the
// private keys of all its exponents.
std::optional<std::string> rsa_value(EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || bits < kRsaBitsMin || bits > kRsaBitsMax)
    return std::nullopt;
  const Number modulus = number_of(key, OSSL_PKEY_PARAM_RSA_N);
  const Number exponent = number_of(key, OSSL_PKEY_PARAM_RSA_E);
  if (!modulus || !exponent || !BN_is_odd(modulus.get()) || !BN_is_odd(exponent.get()) ||
      BN_num_bits(exponent.get()) < kExponentBitsMin ||
      BN_num_bits(exponent.get()) > kExponentBitsMax)
    return std::nullopt;
  return "rsa:" + hex_of(modulus.get());
}

// The numbers that make the key, whatever the encoding; nothing where it is not of this kind.
std::optional<std::string> value_of(EVP_PKEY* key, PemKey::Kind kind) {
  return kind == PemKey::Kind::kRsa ? rsa_value(key) : ecdsa_value(key);
}

}  // namespace

struct PemKey::State {
  Key key;
};

PemKey::PemKey(std::shared_ptr<const State> state, Kind kind, std::string value)
    : state_(std::move(state)), kind_(kind), value_(std::move(value)) {}

Result<PemKey> PemKey::parse(std::string_view pem, Kind kind) {
  Key key = decode(pem, kind);
  auto value = key ? value_of(key.get(), kind) : std::nullopt;
  ERR_clear_error();  // or the next failure in this thread would be told with this one's words
  if (!value)
    return fail(
        ErrorCode::kBadFormat, "no PEM public key of {}",
        kind == Kind::kRsa ? "RSA with 2048 to 8192 bits and a usual exponent" : "ECDSA on P-256");
  auto state = std::make_shared<const State>(State{std::move(key)});
  return PemKey(std::move(state), kind, std::move(*value));
}

bool PemKey::verify(ByteSpan message, ByteSpan signature) const {
  const Context context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;
  bool good = context && EVP_DigestVerifyInit(context.get(), &parameters, EVP_sha256(), nullptr,
                                              state_->key.get()) == 1;
  // RFC 8017, section 8.1.2, step 1: as long as the modulus, leading zeros and all.
  if (good && kind_ == Kind::kRsa)
    good = signature.size() == static_cast<std::size_t>(EVP_PKEY_get_size(state_->key.get())) &&
           EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_AUTO) == 1;
  good = good && EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                                  message.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace layby::crypto
