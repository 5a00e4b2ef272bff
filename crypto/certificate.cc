#include "crypto/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/assert.h"
#include "crypto/random.h"

namespace layby::crypto {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Request = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Time = std::unique_ptr<ASN1_TIME, Deleter<ASN1_TIME_free>>;

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

Result<Key> read_key(const std::string& pem) {
  Key key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, nullptr, nullptr));
  if (!key) return fail_openssl("reading a private key");
  return key;
}

Result<Certificate> read_x509(const std::string& pem) {
  Certificate certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr));
  if (!certificate) return fail_openssl("reading a certificate");
  return certificate;
}

void set_common_name(X509_NAME* name, const std::string& common_name) {
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.data()),
                             static_cast<int>(common_name.size()), -1, 0);
}

Result<void> add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension) return fail_openssl("making a certificate extension");
  X509_add_ext(certificate, extension.get(), -1);
  return {};
}

Certificate blank_certificate(const std::string& common_name, Validity validity) {
  Certificate certificate(X509_new());
  LAYBY_ASSERT(certificate);
  X509_set_version(certificate.get(), X509_VERSION_3);
  Bytes serial = random_bytes(kSerialBytes);
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);  // positive and of full length
  BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), validity.not_before);
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), validity.not_after);
  set_common_name(X509_get_subject_name(certificate.get()), common_name);
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
  const Certificate certificate = blank_certificate(common_name, validity);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  X509_set_pubkey(certificate.get(), key.get());
  X509* self = certificate.get();
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
  X509_REQ_set_version(request.get(), X509_REQ_VERSION_1);
  set_common_name(X509_REQ_get_subject_name(request.get()), common_name);
  X509_REQ_set_pubkey(request.get(), key.get());
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
      PEM_read_bio_X509_REQ(reader(request_pem).get(), nullptr, nullptr, nullptr));
  if (!request) return fail_openssl("reading a certificate request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || EVP_PKEY_base_id(key) != EVP_PKEY_EC || EVP_PKEY_bits(key) != 256)
    return fail(ErrorCode::kBadFormat, "the certificate request's key is not ECDSA P-256");
  if (X509_REQ_verify(request.get(), key) != 1)
    return fail(ErrorCode::kBadSignature, "the certificate request is not signed by its own key");

  const Certificate certificate = blank_certificate(subject.common_name, validity);
  X509* made = certificate.get();
  X509_set_issuer_name(made, X509_get_subject_name(issuer.get()));
  X509_set_pubkey(made, key);
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
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name,
                            sizeof name);
  facts.common_name = name;
  unsigned length = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), facts.fingerprint.data(), &length) != 1)
    return fail_openssl("digesting a certificate");
  facts.validity.not_before = TRY(unix_seconds(X509_get0_notBefore(certificate.get())));
  facts.validity.not_after = TRY(unix_seconds(X509_get0_notAfter(certificate.get())));
  return facts;
}

}  // namespace layby::crypto
