// The audit trail of a car, read page by page or as one signed file (docs/formats.md, "Audit
// export"), and the public part of the key that signs it.
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

Response get_audit(const Services& services, const Request& request);
// Long trails are exported one at a time: each takes memory of its size.
Response get_audit_export(const Services& services, const Request& request);
Response get_audit_export_key(const Services& services, const Request& request);

}  // namespace layby::server
