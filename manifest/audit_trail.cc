#include "manifest/audit_trail.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

namespace layby::manifest {

namespace {

constexpr std::string_view kType = "audit-export";

Result<crypto::Digest256> record_digest(const Json& record) {
  return crypto::sha256(as_bytes(TRY(to_canonical(record))));
}

enum class Fit { kYes, kNo };

// Whether what stands behind the record at `index`, the next record or the head, names `digest`.
Fit fits_behind(const Json& records, std::size_t index, const crypto::Digest256& digest,
                const AuditHead& head) {
  if (index + 1 == records.size()) return digest == head.digest ? Fit::kYes : Fit::kNo;
  const Result<crypto::Digest256> named = digest_field(records[index + 1], "previous");
  return named && *named == digest ? Fit::kYes : Fit::kNo;
}

// Which record is to blame, where the one at `index` does not follow upon `end`.
Error name_break(const Json& records, std::size_t index, const AuditHead& end,
                 const AuditHead& head, Error error) {
  const std::uint64_t seq = end.seq + 1;
  const Json& record = records[index];
  const Result<std::uint64_t> says = uint_field(record, "seq");
  const Result<crypto::Digest256> digest = record_digest(record);
  const Result<crypto::Digest256> previous = digest_field(record, "previous");
  // Only where all that is wrong is the link are there two that it can be.
  if (!says || *says != seq || !digest || !previous) return error;
  if (fits_behind(records, index, *digest, head) == Fit::kNo)
    return {ErrorCode::kCorrupt,
            fmt::format("record {} was altered, or belongs to another trail", seq)};
  if (index == 0)
    return {ErrorCode::kCorrupt,
            fmt::format("record {} does not follow upon where this part begins", seq)};
  return {ErrorCode::kCorrupt, fmt::format("record {} was altered", end.seq)};
}

Result<void> check_end(const AuditHead& end, const AuditHead& head) {
  if (end == head) return {};
  if (end.seq < head.seq)
    return fail(ErrorCode::kCorrupt, "record {} is missing: the trail ends at record {}",
                end.seq + 1, head.seq);
  if (end.seq > head.seq)
    return fail(ErrorCode::kCorrupt, "record {} was added: the trail ends at record {}",
                head.seq + 1, head.seq);
  return fail(ErrorCode::kCorrupt, "record {}, the last one, was altered", end.seq);
}

std::string canonical_text(const Json& value) {
  Result<std::string> text = to_canonical(value);
  LAYBY_ASSERT(text.has_value());  // ours, of digests, numbers and times
  return std::move(*text);
}

Result<void> verify_signed_by_one(const Envelope& envelope, std::span<const PublicKey> keys) {
  for (const PublicKey& key : keys)
    if (verify_signature(envelope, key, kType)) return {};
  return fail(ErrorCode::kBadSignature, "not signed by {}",
              keys.size() == 1 ? "the key " + keys.front().id() : "any of the keys");
}

}  // namespace

Json audit_head_json(const AuditHead& head) {
  return {{"seq", head.seq}, {"digest", to_hex(head.digest)}};
}

Result<AuditHead> read_audit_head(const Json& json) {
  const std::uint64_t seq = TRY(uint_field(json, "seq"));
  const crypto::Digest256 digest = TRY(digest_field(json, "digest"));
  if (seq == 0 && digest != crypto::Digest256{})
    return fail(ErrorCode::kBadFormat, "a digest of record 0, which is none");
  return AuditHead{.seq = seq, .digest = digest};
}

Json make_audit_record(const AuditHead& head, const AuditEntry& entry) {
  Json record{{"seq", head.seq + 1},
              {"at", format_utc(entry.at)},
              {"who", std::string(entry.who)},
              {"what", std::string(entry.what)},
              {"data", entry.data},
              {"previous", to_hex(head.digest)}};
  if (!entry.order.empty()) record["order"] = std::string(entry.order);
  return record;
}

Result<AuditHead> follow_audit(const AuditHead& head, const Json& record) {
  const std::uint64_t seq = head.seq + 1;
  const Result<std::uint64_t> says = uint_field(record, "seq");
  if (!says)
    return fail(ErrorCode::kCorrupt, "record {} was altered: {}", seq, says.error().message());
  if (*says > seq)
    return fail(ErrorCode::kCorrupt, "record {} is missing: record {} stands in its place", seq,
                *says);
  if (*says < seq)
    return fail(ErrorCode::kCorrupt, "where record {} should be stands record {}", seq, *says);
  const Result<crypto::Digest256> previous = digest_field(record, "previous");
  if (!previous)
    return fail(ErrorCode::kCorrupt, "record {} was altered: {}", seq, previous.error().message());
  if (*previous != head.digest)
    return fail(ErrorCode::kCorrupt, "record {} does not follow upon the one before it", seq);
  Result<crypto::Digest256> digest = record_digest(record);
  if (!digest)
    return fail(ErrorCode::kCorrupt, "record {} was altered: {}", seq, digest.error().message());
  return AuditHead{.seq = seq, .digest = *digest};
}

Result<std::vector<crypto::Digest256>> verify_audit_chain(const AuditHead& from,
                                                          const Json& records,
                                                          const AuditHead& head) {
  LAYBY_ASSERT(records.is_array());
  std::vector<crypto::Digest256> digests;
  digests.reserve(records.size());
  AuditHead end = from;
  for (std::size_t i = 0; i < records.size(); ++i) {
    Result<AuditHead> next = follow_audit(end, records[i]);
    if (!next) return fail(name_break(records, i, end, head, std::move(next.error())));
    end = *next;
    digests.push_back(end.digest);
  }
  TRY_VOID(check_end(end, head));
  return digests;
}

// The canonical form has its keys in order, so the records come before the VIN.
AuditExportWriter::AuditExportWriter(const Vin& vin, UnixSeconds exported, const AuditHead& from,
                                     const AuditHead& head)
    : vin_(vin.text()), end_(from), head_(head) {
  canonical_ = fmt::format(R"({{"_type":"{}","exported":"{}","from":{},"head":{},"records":[)",
                           kType, format_utc(exported), canonical_text(audit_head_json(from)),
                           canonical_text(audit_head_json(head)));
}

Result<void> AuditExportWriter::add(const Json& record) {
  end_ = TRY(follow_audit(end_, record));
  const std::string text = TRY(to_canonical(record));
  // The signature, the end, and control characters that JSON writes with six bytes.
  constexpr std::uint64_t kRest = 4 * kKiB;
  if (canonical_.size() + text.size() + kRest > kAuditExportBytesMax)
    return fail(ErrorCode::kTooLarge, "an export has at most {} bytes, reached at record {}",
                kAuditExportBytesMax, end_.seq);
  if (!empty_) canonical_ += ',';
  empty_ = false;
  canonical_ += text;
  return {};
}

Result<Bytes> AuditExportWriter::sign(const crypto::Signer& key) {
  TRY_VOID(check_end(end_, head_));
  canonical_ += fmt::format(R"(],"vin":"{}"}})", vin_);
  const crypto::Signer* const by[] = {&key};
  Bytes bytes = TRY(sign_canonical(canonical_, by));
  canonical_.clear();
  if (bytes.size() > kAuditExportBytesMax)
    return fail(ErrorCode::kTooLarge, "an export has at most {} bytes, this one {}",
                kAuditExportBytesMax, bytes.size());
  return bytes;
}

std::optional<crypto::Digest256> VerifiedAuditExport::digest_at(std::uint64_t seq) const {
  if (seq == from_.seq) return from_.digest;
  if (seq < from_.seq || seq > head_.seq) return std::nullopt;
  return digests_[seq - from_.seq - 1];
}

Result<VerifiedAuditExport> verify_audit_export(ByteSpan bytes, std::span<const PublicKey> keys,
                                                const std::optional<Vin>& vin) {
  const Envelope envelope = TRY(Envelope::parse(bytes, kAuditExportBytesMax));
  const Json& part = envelope.signed_part();
  const std::string type = TRY(text_field(part, "_type"));
  if (type != kType) return fail(ErrorCode::kBadFormat, "a document \"{}\"", type);
  const Result<Vin> says = Vin::parse(TRY(text_field(part, "vin")));
  if (!says) return fail(ErrorCode::kBadFormat, "vin: {}", says.error().message());
  VerifiedAuditExport result(*says);
  result.exported_ = TRY(time_field(part, "exported"));
  result.from_ = TRY_CONTEXT(read_audit_head(*TRY(object_field(part, "from"))), "from");
  result.head_ = TRY_CONTEXT(read_audit_head(*TRY(object_field(part, "head"))), "head");
  const Json& records = *TRY(array_field(part, "records"));
  auto digests = verify_audit_chain(result.from_, records, result.head_);
  // Which record it was is worth knowing also where the signature says already that there is one.
  if (Result<void> good = verify_signed_by_one(envelope, keys); !good) {
    if (digests) return fail(std::move(good.error()));
    return fail(ErrorCode::kBadSignature, "{}; {}", good.error().message(),
                digests.error().message());
  }
  if (!digests) return fail(std::move(digests.error()));
  result.digests_ = std::move(*digests);
  if (vin && *vin != result.vin_)
    return fail(ErrorCode::kWrongVehicle, "the trail of {}, not of {}", result.vin_.text(),
                vin->text());
  return result;
}

Result<void> verify_audit_extends(const VerifiedAuditExport& earlier,
                                  const VerifiedAuditExport& later) {
  if (earlier.vin() != later.vin())
    return fail(ErrorCode::kWrongVehicle, "the earlier export is of {}, this one of {}",
                earlier.vin().text(), later.vin().text());
  const AuditHead& known = earlier.head();
  if (later.head().seq < known.seq)
    return fail(ErrorCode::kRollback, "ends at record {}, the earlier export at record {}",
                later.head().seq, known.seq);
  const std::optional<crypto::Digest256> now = later.digest_at(known.seq);
  if (!now)
    return fail(ErrorCode::kInvalidArgument,
                "begins behind record {}, the earlier export ends at record {}: one in between is "
                "needed",
                later.from().seq, known.seq);
  if (*now != known.digest)
    return fail(ErrorCode::kCorrupt,
                "the trail was rewritten: record {} is not the one of the earlier export",
                known.seq);
  return {};
}

}  // namespace layby::manifest
