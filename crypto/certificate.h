// X.509 certificates (RFC 5280) for TLS: a small certificate authority, signing requests, and what
// a server must know of a certificate that it is shown. Keys are ECDSA P-256; everything travels as
// PEM.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace layby::crypto {

struct TlsIdentity {
  std::string key_pem;          // PKCS#8, unencrypted
  std::string certificate_pem;  // one certificate
};

struct Validity {
  UnixSeconds not_before;
  UnixSeconds not_after;
};

// A new P-256 private key, PKCS#8 PEM.
std::string generate_tls_key();

// A self-signed authority that may issue end-entity certificates only (pathlen 0).
Result<TlsIdentity> make_authority(const std::string& common_name, Validity validity);

// A PKCS#10 request (RFC 2986) for the key, with this common name.
Result<std::string> make_request(const std::string& key_pem, const std::string& common_name);

enum class CertificateUse { kServer, kVehicle };

struct CertificateSubject {
  std::string common_name;
  std::string subject_alt_names;  // OpenSSL syntax, "DNS:localhost,IP:127.0.0.1"; empty for none
};

// Issues a certificate for the key in the request. The request's signature is checked; its subject
// is ignored in favour of `subject`: who may be called what is the caller's decision. kBadFormat
// for what is no request or not for a P-256 key, kBadSignature for one that its key did not sign,
// kInvalidArgument for a common name of no or more than 64 bytes or with a zero byte in it. (The
// same holds of common names above.)
Result<std::string> issue_certificate(const TlsIdentity& authority, const std::string& request_pem,
                                      const CertificateSubject& subject, CertificateUse use,
                                      Validity validity);

struct CertificateFacts {
  std::string common_name;
  Digest256 fingerprint;  // SHA-256 of the DER
  Validity validity;
};
// kBadFormat for what is no certificate or has not exactly one common name.
Result<CertificateFacts> read_certificate(const std::string& certificate_pem);

// kInvalidArgument when the private key is not the one that the certificate is for.
Result<void> check_key_of_certificate(const std::string& certificate_pem,
                                      const std::string& key_pem);

}  // namespace layby::crypto
