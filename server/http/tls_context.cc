#include "server/http/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/deleter.h"

namespace layby::server {
namespace {

using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Deleter<X509_free>>;

// Resumed sessions skip the check of the certificate: not for longer than this.
constexpr long kSessionSeconds = 3600;
// A car's certificate is issued by the vehicle authority itself.
constexpr int kChainDepthMax = 1;

tl::unexpected<Error> fail_openssl(std::string_view doing) {
  char text[256] = "unknown error";
  if (const unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return fail(ErrorCode::kInvalidArgument, "TLS: {}: {}", doing, text);
}

BioPtr memory(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<void> use_own_certificate(SSL_CTX* context, const TlsFiles& files) {
  const BioPtr chain = memory(files.certificate_chain_pem);
  const CertificatePtr leaf(PEM_read_bio_X509_AUX(chain.get(), nullptr, nullptr, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1)
    return fail_openssl("the server certificate");
  while (CertificatePtr next{PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)}) {
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1)
      return fail_openssl("the server's certificate chain");
  }
  ERR_clear_error();  // the end of the chain
  const BioPtr key_text = memory(files.private_key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    return fail_openssl("the server's private key");
  if (SSL_CTX_check_private_key(context) != 1)
    return fail_openssl("the server's key and certificate do not belong together");
  return {};
}

Result<void> trust_clients_of(SSL_CTX* context, const std::string& authority_pem) {
  const BioPtr text = memory(authority_pem);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  int count = 0;
  while (CertificatePtr authority{PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_cert(store, authority.get()) != 1 ||
        SSL_CTX_add_client_CA(context, authority.get()) != 1)
      return fail_openssl("the vehicle authority's certificate");
    ++count;
  }
  ERR_clear_error();
  if (count == 0)
    return fail(ErrorCode::kInvalidArgument, "TLS: no certificate of a vehicle authority");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_verify_depth(context, kChainDepthMax);
  return {};
}

}  // namespace

Result<void> configure_tls(SSL_CTX* context, const TlsFiles& files) {
  if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1)
    return fail_openssl("TLS 1.3 is not available");
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets hold the sessions
  SSL_CTX_set_timeout(context, kSessionSeconds);
  SSL_CTX_set_num_tickets(context, 1);
  constexpr unsigned char kSessionContext[] = "layby";
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
  TRY_VOID(use_own_certificate(context, files));
  return trust_clients_of(context, files.client_authority_pem);
}

void verify_at(SSL* connection, UnixSeconds now) {
  X509_VERIFY_PARAM_set_time(SSL_get0_param(connection), now);
}

std::optional<PeerCertificate> peer_certificate(const SSL* connection) {
  const CertificatePtr certificate(SSL_get1_peer_certificate(connection));
  if (!certificate || SSL_get_verify_result(connection) != X509_V_OK) return std::nullopt;
  PeerCertificate peer;
  char name[256];
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()),
                                               NID_commonName, name, sizeof name);
  if (length <= 0) return std::nullopt;
  peer.common_name.assign(name, static_cast<std::size_t>(length));
  unsigned size = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), peer.fingerprint.data(), &size) != 1 ||
      size != peer.fingerprint.size())
    return std::nullopt;
  return peer;
}

}  // namespace layby::server
