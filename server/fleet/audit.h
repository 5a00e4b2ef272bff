// The audit trail of a car: a chain of records, each holding the digest of the one before
// (docs/formats.md, "Audit record"; P5.4).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "crypto/digest.h"
#include "manifest/json.h"
#include "manifest/vin.h"
#include "server/store/change.h"

namespace layby::server {

// Where the chain of a car ends. Kept beside the records: it is what shows that the last ones were
// dropped, and every change of the car's affairs reads and writes it, so that no two overlap.
struct AuditHead {
  std::uint64_t seq = 0;       // of the last record; 0 for none
  crypto::Digest256 digest{};  // of its canonical form; zeros for none
  bool operator==(const AuditHead&) const = default;
};

std::string audit_prefix(const manifest::Vin& vin);
std::string audit_key(const manifest::Vin& vin, std::uint64_t seq);
std::string audit_head_key(const manifest::Vin& vin);

Result<AuditHead> load_audit_head(Change& change, const manifest::Vin& vin);
Result<AuditHead> load_audit_head(const Store& store, const manifest::Vin& vin);

struct AuditEntry {
  UnixSeconds at = 0;
  std::string_view who;
  std::string_view what;
  std::string_view order;  // empty for none
  const manifest::Json& data;
};

// Appends to the chain that ends at `head`; the new end.
AuditHead append_audit(Change& change, const manifest::Vin& vin, const AuditHead& head,
                       const AuditEntry& entry);

// Pure: whether `records`, as stored, are the unbroken chain from its first record to `head`.
// kCorrupt, naming the record, when one was altered, dropped, added or swapped.
Result<void> verify_audit(std::span<const std::string> records, const AuditHead& head);

}  // namespace layby::server
