// The audit trail of a car: a chain of records, each holding the digest of the one before, and its
// export, one signed file that is verified with no server at hand (docs/formats.md, "Audit record"
// and "Audit export"; P5.4). Pure: where records are kept is the server's affair.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/keys.h"
#include "manifest/json.h"
#include "manifest/keys.h"
#include "manifest/vin.h"

namespace layby::manifest {

// Where a chain, or a part of one, ends.
struct AuditHead {
  std::uint64_t seq = 0;       // of the last record; 0 for none
  crypto::Digest256 digest{};  // of its canonical form; zeros for none
  bool operator==(const AuditHead&) const = default;
};

Json audit_head_json(const AuditHead& head);
Result<AuditHead> read_audit_head(const Json& json);  // kBadFormat

struct AuditEntry {
  UnixSeconds at = 0;
  std::string_view who;
  std::string_view what;
  std::string_view order;  // empty for none
  const Json& data;
};

// The record that follows upon `head`. Texts must be valid UTF-8 and numbers integers.
Json make_audit_record(const AuditHead& head, const AuditEntry& entry);

// That `record` follows upon what ends at `head`; then where the chain ends with it. kCorrupt,
// naming the record.
Result<AuditHead> follow_audit(const AuditHead& head, const Json& record);

// Whether `records`, a JSON array, are the unbroken chain from behind `from` to `head`; the digest
// of each. kCorrupt, naming the first record that was altered, dropped, added or swapped.
Result<std::vector<crypto::Digest256>> verify_audit_chain(const AuditHead& from,
                                                          const Json& records,
                                                          const AuditHead& head);

// ---- The export ---------------------------------------------------------------------------------

// More than 100,000 records of the usual size. A longer trail is exported in parts.
constexpr std::uint64_t kAuditExportBytesMax = 256 * kMiB;

// Puts an export together record by record, so that whoever has many holds the text only once.
class AuditExportWriter {
 public:
  // The records behind `from` up to `head`.
  AuditExportWriter(const Vin& vin, UnixSeconds exported, const AuditHead& from,
                    const AuditHead& head);

  // The next one. kCorrupt when it does not follow: what is broken is never signed. kTooLarge above
  // kAuditExportBytesMax. After an error the writer is of no more use.
  Result<void> add(const Json& record);

  // The file. kCorrupt unless the records end at `head`. At most once.
  Result<Bytes> sign(const crypto::Signer& key);

 private:
  std::string vin_;
  AuditHead end_;
  AuditHead head_;
  std::string canonical_;  // of the part to sign, as far as it goes
  bool empty_ = true;
};

// Only verify_audit_export makes one.
class VerifiedAuditExport {
 public:
  const Vin& vin() const { return vin_; }
  UnixSeconds exported() const { return exported_; }
  const AuditHead& from() const { return from_; }
  const AuditHead& head() const { return head_; }
  // Of the record `seq`, or of what it begins behind. Nothing for those it says nothing about.
  std::optional<crypto::Digest256> digest_at(std::uint64_t seq) const;

 private:
  friend Result<VerifiedAuditExport> verify_audit_export(ByteSpan, std::span<const PublicKey>,
                                                         const std::optional<Vin>&);
  explicit VerifiedAuditExport(Vin vin) : vin_(std::move(vin)) {}
  Vin vin_;
  UnixSeconds exported_ = 0;
  AuditHead from_;
  AuditHead head_;
  std::vector<crypto::Digest256> digests_;
};

// kBadSignature unless one of `keys` signed; kCorrupt, naming the record, for a broken chain (its
// text also stands in a kBadSignature); kWrongVehicle where `vin` is given and it is another's;
// kBadJson, kBadFormat and kEndlessData for what is no such file.
Result<VerifiedAuditExport> verify_audit_export(ByteSpan bytes, std::span<const PublicKey> keys,
                                                const std::optional<Vin>& vin);

// That `later` goes on where `earlier` ended and has rewritten nothing before: whoever keeps an
// export finds out with it that the holder of the key began the trail anew. kWrongVehicle for two
// cars; kRollback when `later` ends earlier; kInvalidArgument when it begins later; kCorrupt when
// the last record of `earlier` is another one in `later`.
Result<void> verify_audit_extends(const VerifiedAuditExport& earlier,
                                  const VerifiedAuditExport& later);

}  // namespace layby::manifest
