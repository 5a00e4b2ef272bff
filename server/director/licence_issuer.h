// Licences for the shop: signed with the server's licence key, sealed to one car (P1.3).
#pragma once

#include <string>

#include "crypto/sealed_box.h"
#include "manifest/licence.h"
#include "server/services.h"

namespace layby::server {

// The licence as it stands in an order's `licence`: base64 of the sealed envelope. `issued` is set
// to the time of `services.clock`. The counter is the caller's: per VIN and function it must rise
// with each licence, in the commit that stores this one. `named` is the key that the function's
// package names: kNotFound, in the log too, where the server does not have that one; no other would
// be taken by the car. Any thread.
Result<std::string> issue_licence(const Services& services, manifest::Licence licence,
                                  const manifest::PublicKey& named,
                                  const crypto::SealPublicKey& car);

}  // namespace layby::server
