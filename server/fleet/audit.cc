#include "server/fleet/audit.h"

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/fleet/car.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

Result<AuditHead> decode_head(const std::optional<std::string>& text) {
  if (!text) return AuditHead{};
  return manifest::read_audit_head(TRY(parse_stored("audit head", *text)));
}

}  // namespace

std::string audit_prefix(const manifest::Vin& vin) {
  return car_prefix(vin) + "audit/";
}

std::string audit_key(const manifest::Vin& vin, std::uint64_t seq) {
  return fmt::format("{}{:016}", audit_prefix(vin), seq);
}

std::string audit_head_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "audit-head";
}

Result<AuditHead> load_audit_head(Change& change, const manifest::Vin& vin) {
  return decode_head(TRY(change.get(audit_head_key(vin))));
}

Result<AuditHead> load_audit_head(const Store& store, const manifest::Vin& vin) {
  return decode_head(TRY(store.get(audit_head_key(vin))));
}

AuditHead append_audit(Change& change, const manifest::Vin& vin, const AuditHead& head,
                       const AuditEntry& entry) {
  const Json record = manifest::make_audit_record(head, entry);
  const Result<AuditHead> next = manifest::follow_audit(head, record);
  LAYBY_ASSERT(next);  // what is recorded was checked when it came in
  change.put(audit_key(vin, next->seq), to_stored(record));
  change.put(audit_head_key(vin), to_stored(manifest::audit_head_json(*next)));
  return *next;
}

}  // namespace layby::server
