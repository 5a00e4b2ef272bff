#include "base/time_text.h"
#include "manifest/audit_trail.h"
#include "manifest/json_value.h"
#include "server/cli/commands.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

using manifest::AuditHead;
using manifest::PublicKey;
using manifest::VerifiedAuditExport;
using manifest::Vin;

constexpr std::uint64_t kKeyBytesMax = 4 * kKiB;
constexpr const char* kKeyPath = "/v1/audit-key";

std::string audit_path(const std::string& vin) {
  return "/v1/cars/" + encode_segment(vin) + "/audit";
}

// A page begins where it says: what came before is not in it. It goes on to the server's `head`, or
// ends before that where the page was full.
Result<void> check_page(const Json& page) {
  const Json& records = *TRY(manifest::array_field(page, "records"));
  const AuditHead head = TRY(manifest::read_audit_head(*TRY(manifest::object_field(page, "head"))));
  if (records.empty()) return {};
  AuditHead end;
  const std::uint64_t first = TRY(manifest::uint_field(records.front(), "seq"));
  if (first > 1) {
    const auto previous = TRY(manifest::digest_field(records.front(), "previous"));
    end = {.seq = first - 1, .digest = previous};
  }
  for (const Json& record : records) end = TRY(manifest::follow_audit(end, record));
  if (end.seq >= head.seq && end != head)
    return fail(ErrorCode::kCorrupt, "record {} is not the end of the chain", end.seq);
  return {};
}

Result<PublicKey> parse_key(ByteSpan bytes) {
  return PublicKey::from_json(TRY(manifest::parse_strict(bytes, {.bytes_max = kKeyBytesMax})));
}

Result<std::vector<PublicKey>> read_keys(Disk& disk, const std::vector<std::string>& files) {
  std::vector<PublicKey> keys;
  for (const std::string& file : files) {
    const Bytes bytes = TRY_CONTEXT(read_file(disk, file, kKeyBytesMax), file);
    keys.push_back(TRY_CONTEXT(parse_key(bytes), file));
  }
  return keys;
}

Json export_json(const VerifiedAuditExport& what) {
  return {{"vin", what.vin().text()},
          {"exported", format_utc(what.exported())},
          {"from", manifest::audit_head_json(what.from())},
          {"head", manifest::audit_head_json(what.head())}};
}

void print_export(OutputForm form, const VerifiedAuditExport& what) {
  if (form == OutputForm::kJson) return print_json(export_json(what));
  const std::uint64_t count = what.head().seq - what.from().seq;
  const std::string records =
      count == 0 ? fmt::format("no record behind {}", what.from().seq)
                 : fmt::format("records {} to {}", what.from().seq + 1, what.head().seq);
  fmt::print("{}: {}, exported {}, head {}\n", what.vin().text(), records,
             format_utc(what.exported()), to_hex(what.head().digest));
}

Result<VerifiedAuditExport> read_export(Disk& disk, const std::string& file,
                                        std::span<const PublicKey> keys,
                                        const std::optional<Vin>& vin) {
  const Bytes bytes = TRY_CONTEXT(read_file(disk, file, manifest::kAuditExportBytesMax), file);
  return TRY_CONTEXT(manifest::verify_audit_export(bytes, keys, vin), file);
}

}  // namespace

Result<void> show_audit(Session& session, const AuditOptions& options) {
  const Json list = TRY(session.get(with_page(audit_path(options.vin), options.page)));
  if (options.chain == AuditOptions::Chain::kCheck) {
    Result<void> whole = check_page(list);
    if (!whole) return fail(std::move(whole.error()).with_context("audit"));
  }
  print_list(session, list,
             {{"SEQ", "seq"},
              {"AT", "at"},
              {"WHO", "who"},
              {"WHAT", "what"},
              {"ORDER", "order"},
              {"DATA", "data"}});
  return {};
}

Result<void> export_audit(Session& session, const AuditExport& options) {
  std::vector<PublicKey> keys = TRY(read_keys(session.disk(), options.keys));
  if (keys.empty()) {
    const Json key = TRY(session.get(kKeyPath));
    keys.push_back(TRY_CONTEXT(PublicKey::from_json(key), kKeyPath));
  }
  const Vin vin = TRY(Vin::parse(options.vin));
  HttpRequest request{
      .path = with_page(audit_path(options.vin) + "/export", {.after = options.after}),
      .headers = {},
      .body = {},
      .answer_bytes_max = manifest::kAuditExportBytesMax};
  HttpAnswer answer = TRY(session.exchange(request));
  answer = TRY(session.accept(std::move(answer), request));
  const ByteSpan bytes = as_bytes(answer.body);
  // What does not verify is of no use to anybody: better known now than in front of an auditor.
  const VerifiedAuditExport what =
      TRY_CONTEXT(manifest::verify_audit_export(bytes, keys, vin), "the server's export");
  TRY_VOID(replace_file(session.disk(), options.out, bytes));
  print_export(session.form(), what);
  return {};
}

Result<void> fetch_audit_key(Session& session, const std::string& out) {
  const Json json = TRY(session.get(kKeyPath));
  const PublicKey key = TRY_CONTEXT(PublicKey::from_json(json), kKeyPath);
  TRY_VOID(replace_file(session.disk(), out, as_bytes(TRY(manifest::to_wire(key.to_json())))));
  print_thing(session, {{"keyid", key.id()}});
  return {};
}

ExitStatus verify_audit(const AuditVerification& options, OutputForm form) {
  RealDisk disk;
  const auto verify = [&]() -> Result<void> {
    const std::vector<PublicKey> keys = TRY(read_keys(disk, options.keys));
    std::optional<Vin> vin;
    if (!options.vin.empty()) vin = TRY(Vin::parse(options.vin));
    const VerifiedAuditExport what = TRY(read_export(disk, options.file, keys, vin));
    // A part proves nothing of what was before it.
    if (what.from().seq > 0 && !options.part && options.earlier.empty())
      return fail(
          ErrorCode::kInvalidArgument,
          "it begins behind record {}: a part of the trail; --part says that this is meant, "
          "--after FILE proves what it goes on from",
          what.from().seq);
    if (!options.earlier.empty()) {
      const VerifiedAuditExport earlier = TRY(read_export(disk, options.earlier, keys, vin));
      TRY_VOID(manifest::verify_audit_extends(earlier, what));
    }
    print_export(form, what);
    return {};
  };
  const Result<void> verified = verify();
  if (verified) return ExitStatus::kDone;
  fmt::print(stderr, "layby: {}\n", verified.error().message());
  const ErrorCode code = verified.error().code();
  const bool unread =
      code == ErrorCode::kNotFound || code == ErrorCode::kIo || code == ErrorCode::kForbidden;
  return unread ? ExitStatus::kLocal : ExitStatus::kRefused;
}

}  // namespace layby::cli
