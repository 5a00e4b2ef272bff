#include "server/fleet/audit_routes.h"

#include <algorithm>
#include <mutex>

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/director/online_keys.h"
#include "server/fleet/after_number.h"
#include "server/fleet/audit.h"
#include "server/fleet/auth.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/refusal.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::size_t kScanCount = 1000;  // records of a trail read at a time
constexpr std::uint64_t kLongTrail = 10'000;

// What the caller may see of a trail: the records behind `after`, up to `head`.
struct Window {
  manifest::Vin vin;
  std::uint64_t after;
  AuditHead head;
  std::size_t limit;  // of a page
};

Answer<Window> open_window(const Services& services, const Request& request) {
  const CarAccess access = TRY(access_car(services, request));
  if (access.standing == Standing::kSecondary)
    return refuse(RefusalCode::kOwnerOnly, "secondary users do not see the audit trail");
  const Page page = TRY(read_page(request));
  std::uint64_t after = TRY(after_number(page));
  // Who has the car now does not see who did what with it before (P1.10).
  if (access.standing == Standing::kOwner) after = std::max(after, access.car.pairing->owned_from);
  // The end first: records only grow, so what it names is there.
  const AuditHead head = TRY(load_audit_head(services.store, access.car.vin));
  return Window{.vin = access.car.vin, .after = after, .head = head, .limit = page.limit};
}

// Where the part behind record `seq` begins.
Result<AuditHead> part_begins(const Store& store, const manifest::Vin& vin, std::uint64_t seq) {
  if (seq == 0) return AuditHead{};
  const std::string key = audit_key(vin, seq);
  const std::optional<std::string> text = TRY(store.get(key));
  if (!text) return fail(ErrorCode::kCorrupt, "{} is missing", key);
  const Json record = TRY(parse_stored(key, *text));
  auto digest = crypto::sha256(as_bytes(TRY(manifest::to_canonical(record))));
  return AuditHead{.seq = seq, .digest = digest};
}

Result<Bytes> write_export(const Services& services, const Window& window) {
  const manifest::Vin& vin = window.vin;
  const AuditHead from = TRY(part_begins(services.store, vin, window.after));
  manifest::AuditExportWriter writer(vin, services.clock.now(), from, window.head);
  std::string begin = audit_key(vin, from.seq + 1);
  const std::string end = audit_key(vin, window.head.seq + 1);
  for (;;) {
    const std::vector<KeyValue> found = TRY(services.store.scan(begin, end, kScanCount));
    for (const KeyValue& entry : found)
      TRY_VOID(writer.add(TRY(parse_stored(entry.key, entry.value))));
    if (found.size() < kScanCount) break;
    begin = found.back().key + '\0';
  }
  LAYBY_ASSERT(services.keys.audit != nullptr);
  return writer.sign(*services.keys.audit);
}

}  // namespace

Response get_audit(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Answer<Window> opened = open_window(services, request);
    if (!opened) return tl::unexpected(opened.error());
    const Window& window = *opened;
    Json records = Json::array();
    if (window.after < window.head.seq) {
      for (const KeyValue& entry :
           TRY(services.store.scan(audit_key(window.vin, window.after + 1),
                                   audit_key(window.vin, window.head.seq + 1), window.limit)))
        records.push_back(TRY(parse_stored(entry.key, entry.value)));
    }
    return json_response(
        200, {{"records", std::move(records)}, {"head", manifest::audit_head_json(window.head)}});
  }());
}

Response get_audit_export(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Answer<Window> opened = open_window(services, request);
    if (!opened) return tl::unexpected(opened.error());
    const Window& window = *opened;
    if (window.after > window.head.seq)
      return refuse(Error(ErrorCode::kInvalidArgument,
                          fmt::format("after: the trail ends at record {}", window.head.seq)));
    static std::mutex turns;
    std::unique_lock<std::mutex> turn(turns, std::defer_lock);
    if (window.head.seq - window.after > kLongTrail && !turn.try_lock())
      return refuse(
          Error(ErrorCode::kUnavailable, "another long trail is being exported, try again"));
    const Bytes file = TRY(write_export(services, window));
    Response response;
    response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
    response.body = std::string(as_text(file));
    return response;
  }());
}

Response get_audit_export_key(const Services& services, const Request&) {
  const auto key = manifest::PublicKey::of(*services.keys.audit);
  return json_response(200, key.to_json());
}

}  // namespace layby::server
