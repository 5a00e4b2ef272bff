// Where the audit trail of a car lies in the store (docs/formats.md, "Audit record"; P5.4). What a
// record is and when a chain is whole: manifest/audit_trail.h.
#pragma once

#include <string>

#include "manifest/audit_trail.h"
#include "manifest/vin.h"
#include "server/store/change.h"

namespace layby::server {

using manifest::AuditEntry;
using manifest::AuditHead;

std::string audit_prefix(const manifest::Vin& vin);
std::string audit_key(const manifest::Vin& vin, std::uint64_t seq);
std::string audit_head_key(const manifest::Vin& vin);

// Where the chain of a car ends. Kept beside the records: it is what shows that the last ones were
// dropped, and every change of the car's affairs reads and writes it, so that no two overlap.
Result<AuditHead> load_audit_head(Change& change, const manifest::Vin& vin);
Result<AuditHead> load_audit_head(const Store& store, const manifest::Vin& vin);

// Appends to the chain that ends at `head`; the new end.
AuditHead append_audit(Change& change, const manifest::Vin& vin, const AuditHead& head,
                       const AuditEntry& entry);

}  // namespace layby::server
