// The car's client certificate is renewed from half of its life on, for a new key each time. The
// old one goes on until the new one is first used, so no answer that is lost shuts the car out.
#pragma once

#include "agent/car_identity.h"
#include "agent/transport.h"

namespace layby::agent {

class CertificateRenewal {
 public:
  // All must outlive it. A certificate that cannot be read is never renewed.
  CertificateRenewal(Disk& disk, Transport& transport, const Layout& layout,
                     const CarIdentity& identity);

  // By `now`, a time that can be trusted. Not again for a day after a try.
  // A time that was years ahead and was brought back does not put it off for years.
  bool is_due(UnixSeconds now) const {
    const bool pauses = now < next_try_ && next_try_ <= now + kDaySeconds;
    return due_ != 0 && now >= due_ && !pauses;
  }

  // One exchange with the server. kUnavailable and the like: tried again another day, with the same
  // key and request, to which the server gives the same answer; with new ones if it refused these.
  Result<void> renew(UnixSeconds now);

 private:
  void look_at_certificate();
  // `is_useless`: key and request will never lead to a certificate.
  Result<void> try_to_renew(bool& is_useless);

  Disk& disk_;
  Transport& transport_;
  const Layout& layout_;
  const CarIdentity& identity_;
  UnixSeconds due_ = 0;  // 0: never
  UnixSeconds next_try_ = 0;
};

// The certificate's file holds the key that belongs to it, so that both change by one rename. For
// state directories from before: puts them together.
Result<void> join_certificate_and_key(Disk& disk, const Layout& layout);

// Whether there is a certificate with its key that has not expired: a server refuses the connection
// with any other.
bool can_show_certificate(Disk& disk, const Layout& layout, UnixSeconds now);

}  // namespace layby::agent
