// A Transfer as JSON: how it is stored, and how the API shows it.
#pragma once

#include "manifest/json.h"
#include "server/payloads/transfers.h"

namespace layby::server {

manifest::Json transfer_json(const Transfer& transfer);

}  // namespace layby::server
