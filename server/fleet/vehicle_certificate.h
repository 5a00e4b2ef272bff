// A car's client certificate: issued at pairing, renewed by the car before it expires, revoked by
// the operator. There is one that counts; the server knows it by fingerprint and looks at each
// request, so that what ends, ends at the next one, on open connections too.
#pragma once

#include "crypto/certificate.h"
#include "server/fleet/car_affairs.h"
#include "server/http/message.h"

namespace layby::server {

constexpr std::size_t kCertificateRequestBytesMax = 8 * kKiB;

// `v/<VIN>/renewal`: the renewed certificate that waits for its first use, for the car that lost
// the answer.
std::string renewal_key(const manifest::Vin& vin);

struct IssuedCertificate {
  std::string pem;
  crypto::CertificateFacts facts;
};
// Errors of crypto::issue_certificate.
Result<IssuedCertificate> issue_vehicle_certificate(const Services& services,
                                                    const manifest::Vin& vin,
                                                    const std::string& request_pem);

// Whether this certificate is the car's present one, or its next one, which it then becomes: one
// commit, with which the one before ends.
Result<bool> accept_vehicle_certificate(const Services& services, const Car& car,
                                        const crypto::Digest256& fingerprint);

// POST /v1/vehicle/certificate: a further one, for a new key. The very same request again gets the
// same answer; another one replaces a certificate that was never used.
Response post_vehicle_certificate(const Services& services, const Request& request);

// DELETE /v1/cars/{vin}/certificate, for operators. The car has to be paired again.
Response delete_vehicle_certificate(const Services& services, const Request& request);

}  // namespace layby::server
