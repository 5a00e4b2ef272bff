#include "agent/named_ecus.h"

#include "agent/journal.h"
#include "base/limits.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;

constexpr std::uint64_t kAnswerBytesMax = 64 * kKiB;
constexpr std::size_t kReasonsMax = 8;  // that are told

Json ecu_json(const manifest::EcuSerial& serial, const manifest::HardwareId& hardware,
              const crypto::Ed25519PublicKey& key) {
  return {{"serial", serial.text()}, {"hardware_id", hardware.text()}, {"public_key", to_hex(key)}};
}

Result<std::vector<ReplacedEcu>> read_replaced(const HttpResponse& response) {
  const Json answer =
      TRY(manifest::parse_strict(as_bytes(response.body), {.bytes_max = kAnswerBytesMax}));
  std::vector<ReplacedEcu> replaced;
  for (const Json& each : *TRY(manifest::array_field(answer, "replaced"))) {
    std::string old_serial = TRY(manifest::text_field(each, "ecu"));
    std::string serial = TRY(manifest::text_field(each, "serial"));
    replaced.push_back({std::move(old_serial), std::move(serial)});
  }
  return replaced;
}

// A report that waits to be sent names the ECUs of before: the server would refuse it, and the new
// one's word would wait for the next.
Result<void> drop_waiting_report(Disk& disk, const Layout& layout) {
  Journal journal = TRY(Journal::open(disk, layout.directory()));
  journal.record().report_acknowledged = journal.record().report_counter;
  journal.record().report_content = {};
  return journal.save();
}

}  // namespace

Result<Json> named_ecus(const CarIdentity& identity, const CarKeys& keys,
                        const std::vector<MetEcu>& others) {
  Json ecus = Json::array({ecu_json(identity.ecu, identity.hardware, keys.ecu->public_key())});
  for (const MetEcu& other : others) {
    Json ecu = ecu_json(other.ecu.serial, other.ecu.hardware, other.ecu.key);
    ecu["report"] =
        TRY_CONTEXT(manifest::parse_strict(other.report, {.bytes_max = kVehicleManifestBytesMax}),
                    other.ecu.address);
    ecus.push_back(std::move(ecu));
  }
  return ecus;
}

Result<std::vector<MetEcu>> meet_all(SecondaryLink* link, EcuList& list) {
  if (list.addresses.empty()) return std::vector<MetEcu>{};
  if (link == nullptr)
    return fail(ErrorCode::kUnavailable, "there is no way to the car's other ECUs");
  std::vector<MetEcu> met = TRY(meet_ecus(*link, list));
  list.paired.clear();
  for (const MetEcu& each : met) list.paired.push_back(each.ecu);
  return met;
}

std::string problem_of(const HttpResponse& response) {
  const auto problem =
      manifest::parse_strict(as_bytes(response.body), {.bytes_max = kAnswerBytesMax});
  std::string text = fmt::format("the server answered {}", response.status);
  if (!problem) return text;
  for (const char* field : {"code", "detail"})
    if (const auto value = manifest::text_field(*problem, field)) text += ": " + *value;
  const auto reasons = manifest::array_field(*problem, "reasons");
  if (!reasons) return text;
  std::size_t told = 0;
  for (const Json& reason : **reasons)
    if (const auto value = manifest::text_field(reason, "text"); value && told++ < kReasonsMax)
      text += "; " + *value;
  return text;
}

Result<std::vector<ReplacedEcu>> name_ecus(Disk& disk, const Layout& layout, Transport& transport,
                                           SecondaryLink& link) {
  const CarIdentity identity = TRY(read_identity(disk, layout));
  const CarKeys keys = TRY(read_keys(disk, layout));
  EcuList list = TRY(read_ecu_list(disk, layout));
  if (list.addresses.empty())
    return fail(ErrorCode::kUnsupported, "the car was provisioned without other ECUs");
  const std::vector<MetEcu> met = TRY(meet_all(&link, list));
  Json ecus = TRY(named_ecus(identity, keys, met));
  std::string body = TRY(manifest::to_wire(Json{{"ecus", std::move(ecus)}}));
  const HttpResponse response =
      TRY(transport.exchange({.method = HttpRequest::Method::kPost,
                              .path = "/v1/vehicle/ecus",
                              .headers = {{"Content-Type", "application/json"}},
                              .body = std::move(body),
                              .bytes_max = kAnswerBytesMax}));
  if (response.status >= 400 && response.status < 500 && response.status != 429)
    return fail(ErrorCode::kForbidden, "the ECUs were refused: {}", problem_of(response));
  if (response.status != 200)
    return fail(ErrorCode::kUnavailable, "naming the ECUs did not work: {}", problem_of(response));
  auto replaced = TRY(read_replaced(response));
  TRY_VOID(write_ecu_list(disk, layout, list));
  TRY_VOID(drop_waiting_report(disk, layout));
  return replaced;
}

}  // namespace layby::agent
