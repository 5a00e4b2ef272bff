// What a partner carries into the workshop: one archive for one car (P3.1, P5.3).
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

// GET /v1/cars/{vin}/offline-package?payloads=all|deltas, for partners and operators: the archive
// of docs/formats.md, "Offline package", with the Director's metadata of the car, freshly signed,
// the Image repository's, and the payloads of all its open orders. Before it is given out it passes
// the verification that the car will make. Sent from the files: nothing of it is built in memory.
Response post_offline_package(const Services& services, const Request& request);

}  // namespace layby::server
