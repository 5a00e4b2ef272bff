#include "crypto/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string_view>

#include "base/assert.h"
#include "base/deleter.h"
#include "crypto/random.h"

namespace layby::crypto {
namespace {

using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Request = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Time = std::unique_ptr<ASN1_TIME, Deleter<ASN1_TIME_free>>;

constexpr std::size_t kCommonNameMax = 64;            // RFC 5280, A.1: ub-common-name
constexpr UnixSeconds kLastSecond = 253'402'300'799;  // 9999-12-31T23:59:59Z: RFC 5280, 4.1.2.5
constexpr std::size_t kSerialBytes = 16;  // at least 64 random bits: CA/Browser Forum BR 7.1

tl::unexpected<Error> fail_openssl(const char* doing) {
  char text[256] = "unknown reason";
  if (const unsigned long error = ERR_get_error()) ERR_error_string_n(error, text, sizeof text);
  ERR_clear_error();
  return fail(ErrorCode::kBadFormat, "{}: {}", doing, text);
}

Bio reader(const std::string& pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  LAYBY_ASSERT(bio);
  return bio;
}

template <typename Write>
std::string to_pem(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  LAYBY_ASSERT(bio && write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

// For the library's reader, which would otherwise ask for the passphrase of an encrypted PEM at the
// terminal, and wait: anybody who sends us a request could have us do so.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

Result<Key> read_key(const std::string& pem) {
  Key key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_passphrase, nullptr));
  if (!key) return fail_openssl("reading a private key");
  return key;
}

Result<Certificate> read_x509(const std::string& pem) {
  Certificate certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, no_passphrase, nullptr));
  if (!certificate) return fail_openssl("reading a certificate");
  return certificate;
}

Result<void> set_common_name(X509_NAME* name, const std::string& common_name) {
  const bool fits = !common_name.empty() && common_name.size() <= kCommonNameMax &&
                    common_name.find('\0') == std::string::npos;
  if (!fits)
    return fail(ErrorCode::kInvalidArgument, "a common name has 1 to {} bytes, none of them zero",
                kCommonNameMax);
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1)
    return fail_openssl("setting a common name");
  return {};
}

// Exactly one: a reader that takes the first and one that takes the last must mean the same.
Result<std::string> read_common_name(X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
    return fail(ErrorCode::kBadFormat, "a certificate names none or more than one");
  unsigned char* utf8 = nullptr;
  const int length =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (length < 0) return fail_openssl("reading a common name");
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(length));
  OPENSSL_free(utf8);
  if (text.empty() || text.find('\0') != std::string::npos)
    return fail(ErrorCode::kBadFormat, "a common name is empty or holds a zero byte");
  return text;
}

// By name: there are other curves of 256 bits.
bool is_p256(EVP_PKEY* key) {
  char group[64] = "";
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) == 1 &&
         std::string_view(group) == "prime256v1";
}

Result<void> add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension) return fail_openssl("making a certificate extension");
  if (X509_add_ext(certificate, extension.get(), -1) != 1)
    return fail_openssl("adding a certificate extension");
  return {};
}

Result<Certificate> blank_certificate(const std::string& common_name, Validity validity) {
  if (validity.not_before < 0 || validity.not_after < validity.not_before ||
      validity.not_after > kLastSecond)
    return fail(ErrorCode::kInvalidArgument, "a validity that ends before it begins, or never");
  Certificate certificate(X509_new());
  LAYBY_ASSERT(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  Bytes serial = random_bytes(kSerialBytes);
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);  // positive and of full length
  BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  LAYBY_ASSERT(number != nullptr &&
               BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get())) != nullptr);
  BN_free(number);
  LAYBY_ASSERT(ASN1_TIME_set(X509_getm_notBefore(certificate.get()), validity.not_before) &&
               ASN1_TIME_set(X509_getm_notAfter(certificate.get()), validity.not_after));
  TRY_VOID(set_common_name(X509_get_subject_name(certificate.get()), common_name));
  return certificate;
}

std::string certificate_pem(X509* certificate) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

Result<UnixSeconds> unix_seconds(const ASN1_TIME* time) {
  const Time epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0, seconds = 0;
  if (ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1)
    return fail_openssl("reading a certificate's validity");
  return std::int64_t{days} * kDaySeconds + seconds;
}

}  // namespace

std::string generate_tls_key() {
  const Key key(EVP_EC_gen("P-256"));
  LAYBY_ASSERT(key);
  return to_pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

Result<TlsIdentity> make_authority(const std::string& common_name, Validity validity) {
  TlsIdentity identity{generate_tls_key(), {}};
  const Key key = TRY(read_key(identity.key_pem));
  const Certificate certificate = TRY(blank_certificate(common_name, validity));
  X509* self = certificate.get();
  LAYBY_ASSERT(X509_set_issuer_name(self, X509_get_subject_name(self)) == 1 &&
               X509_set_pubkey(self, key.get()) == 1);
  TRY_VOID(add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  TRY_VOID(add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign"));
  TRY_VOID(add_extension(self, self, NID_subject_key_identifier, "hash"));
  if (X509_sign(self, key.get(), EVP_sha256()) == 0) return fail_openssl("signing an authority");
  identity.certificate_pem = certificate_pem(self);
  return identity;
}

Result<std::string> make_request(const std::string& key_pem, const std::string& common_name) {
  const Key key = TRY(read_key(key_pem));
  const Request request(X509_REQ_new());
  LAYBY_ASSERT(request);
  TRY_VOID(set_common_name(X509_REQ_get_subject_name(request.get()), common_name));
  LAYBY_ASSERT(X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
               X509_REQ_set_pubkey(request.get(), key.get()) == 1);
  if (X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0)
    return fail_openssl("signing a certificate request");
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); });
}

Result<std::string> issue_certificate(const TlsIdentity& authority, const std::string& request_pem,
                                      const CertificateSubject& subject, CertificateUse use,
                                      Validity validity) {
  const Key authority_key = TRY(read_key(authority.key_pem));
  const Certificate issuer = TRY(read_x509(authority.certificate_pem));
  const Request request(
      PEM_read_bio_X509_REQ(reader(request_pem).get(), nullptr, no_passphrase, nullptr));
  if (!request) return fail_openssl("reading a certificate request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  const bool p256 = key != nullptr && is_p256(key);
  const bool own = p256 && X509_REQ_verify(request.get(), key) == 1;
  ERR_clear_error();  // or the next failure in this thread would be told with this one's words
  if (!p256) return fail(ErrorCode::kBadFormat, "the certificate request's key is not ECDSA P-256");
  if (!own)
    return fail(ErrorCode::kBadSignature, "the certificate request is not signed by its own key");

  const Certificate certificate = TRY(blank_certificate(subject.common_name, validity));
  X509* made = certificate.get();
  LAYBY_ASSERT(X509_set_issuer_name(made, X509_get_subject_name(issuer.get())) == 1 &&
               X509_set_pubkey(made, key) == 1);
  TRY_VOID(add_extension(made, issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
  TRY_VOID(add_extension(made, issuer.get(), NID_key_usage, "critical,digitalSignature"));
  TRY_VOID(add_extension(made, issuer.get(), NID_ext_key_usage,
                         use == CertificateUse::kServer ? "serverAuth" : "clientAuth"));
  TRY_VOID(add_extension(made, issuer.get(), NID_authority_key_identifier, "keyid"));
  if (!subject.subject_alt_names.empty())
    TRY_VOID(add_extension(made, issuer.get(), NID_subject_alt_name, subject.subject_alt_names));
  if (X509_sign(made, authority_key.get(), EVP_sha256()) == 0)
    return fail_openssl("signing a certificate");
  return certificate_pem(made);
}

Result<CertificateFacts> read_certificate(const std::string& pem) {
  const Certificate certificate = TRY(read_x509(pem));
  CertificateFacts facts{};
  facts.common_name = TRY(read_common_name(X509_get_subject_name(certificate.get())));
  unsigned length = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), facts.fingerprint.data(), &length) != 1)
    return fail_openssl("digesting a certificate");
  facts.validity.not_before = TRY(unix_seconds(X509_get0_notBefore(certificate.get())));
  facts.validity.not_after = TRY(unix_seconds(X509_get0_notAfter(certificate.get())));
  return facts;
}

Result<void> check_key_of_certificate(const std::string& certificate_pem,
                                      const std::string& key_pem) {
  const Certificate certificate = TRY(read_x509(certificate_pem));
  const Key key = TRY(read_key(key_pem));
  if (X509_check_private_key(certificate.get(), key.get()) == 1) return {};
  ERR_clear_error();
  return fail(ErrorCode::kInvalidArgument, "the certificate is for another key");
}

}  // namespace layby::crypto
