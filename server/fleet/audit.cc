#include "server/fleet/audit.h"

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/car.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

Result<crypto::Digest256> record_digest(const Json& record) {
  return crypto::sha256(as_bytes(TRY(manifest::to_canonical(record))));
}

Result<AuditHead> decode_head(const std::optional<std::string>& text) {
  if (!text) return AuditHead{};
  const Json json = TRY(parse_stored("audit head", *text));
  auto seq = TRY(manifest::uint_field(json, "seq"));
  auto digest = TRY(manifest::digest_field(json, "digest"));
  return AuditHead{.seq = std::move(seq), .digest = std::move(digest)};
}

// That `record` follows upon what ends at `head`; then where the chain ends with it.
Result<AuditHead> follow(const AuditHead& head, const std::string& text) {
  const std::uint64_t seq = head.seq + 1;
  const Json record = TRY(parse_stored("audit record", text));
  const Result<std::uint64_t> says = manifest::uint_field(record, "seq");
  if (!says || *says != seq)
    return fail(ErrorCode::kCorrupt, "where record {} should be there is another one", seq);
  const Result<crypto::Digest256> previous = manifest::digest_field(record, "previous");
  if (!previous || *previous != head.digest)
    return fail(ErrorCode::kCorrupt, "record {} or the one before it was altered", seq);
  auto digest = TRY(record_digest(record));
  return AuditHead{.seq = seq, .digest = std::move(digest)};
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
  Json record{{"seq", head.seq + 1},
              {"at", format_utc(entry.at)},
              {"who", std::string(entry.who)},
              {"what", std::string(entry.what)},
              {"data", entry.data},
              {"previous", to_hex(head.digest)}};
  if (!entry.order.empty()) record["order"] = std::string(entry.order);
  const Result<crypto::Digest256> digest = record_digest(record);
  LAYBY_ASSERT(digest);  // what is recorded was checked when it came in
  const AuditHead next{.seq = head.seq + 1, .digest = *digest};
  change.put(audit_key(vin, next.seq), to_stored(record));
  change.put(audit_head_key(vin), to_stored({{"seq", next.seq}, {"digest", to_hex(next.digest)}}));
  return next;
}

Result<void> verify_audit(std::span<const std::string> records, const AuditHead& head) {
  AuditHead end;
  for (const std::string& record : records) end = TRY(follow(end, record));
  if (end != head)
    return fail(ErrorCode::kCorrupt, "the chain ends at record {} and not as it should at {}",
                end.seq, head.seq);
  return {};
}

}  // namespace layby::server
