// The journal's body as JSON: a person can read it, and an unknown or missing field is an error.
#include <algorithm>

#include "agent/journal.h"
#include "agent/map_wish.h"
#include "agent/record.h"
#include "agent/region_list.h"
#include "agent/requirements.h"
#include "base/time_text.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;

constexpr std::uint64_t kVersion = 1;

// ---- writing ------------------------------------------------------------------------------------

Json encode(const Error& error) {
  return {{"code", static_cast<std::uint64_t>(error.code())}, {"text", error.message()}};
}

Json encode(const manifest::Payload& payload) {
  Json json = {{"sha256", to_hex(payload.sha256)},
               {"length", payload.length},
               {"headSha256", to_hex(payload.head_sha256)},
               {"headLength", payload.head_length}};
  if (payload.base) json["base"] = to_hex(*payload.base);
  if (!payload.needs.empty()) json["needs"] = payload.needs;
  return json;
}

Json encode(const std::vector<manifest::PackageCondition>& conditions) {
  Json json = Json::array();
  for (const manifest::PackageCondition& condition : conditions)
    json.push_back({{"if", condition.expression}, {"texts", Json(condition.texts)}});
  return json;
}

Json encode(const Timing& timing) {
  Json json = {{"lockedAt", timing.locked_at},
               {"beganAt", timing.began_at},
               {"shownSeconds", timing.shown_seconds},
               {"hadToWait", timing.had_to_wait}};
  if (timing.waits_since) json["waitsSince"] = *timing.waits_since;
  if (timing.took_seconds) json["tookSeconds"] = *timing.took_seconds;
  if (timing.since_lock_seconds) json["sinceLockSeconds"] = *timing.since_lock_seconds;
  return json;
}

Json encode(const std::vector<Measurement>& measurements) {
  Json json = Json::array();
  for (const Measurement& one : measurements)
    json.push_back(
        {{"kind", manifest::to_string(one.kind)}, {"bytes", one.bytes}, {"seconds", one.seconds}});
  return json;
}

Json encode(const ImageProgress& image) {
  Json json = {{"name", image.name.text()},
               {"slot", image.slot.text()},
               {"version", image.version},
               {"length", image.length},
               {"sha256", to_hex(image.sha256)},
               {"releaseCounter", image.release_counter},
               {"durationSeconds", image.duration_seconds},
               {"batteryPercentMin", image.battery_percent_min},
               {"licenceKey", image.licence_key},
               {"network", manifest::to_string(image.network)},
               {"payloads", Json::array()},
               {"chunkCount", image.chunk_count},
               {"chunksDone", image.chunks_done},
               {"bytesDone", image.bytes_done},
               {"complete", image.complete}};
  for (const manifest::Payload& payload : image.payloads)
    json["payloads"].push_back(encode(payload));
  for (const manifest::EcuSerial& ecu : image.ecus) json["ecus"].push_back(ecu.text());
  if (!image.notes.empty()) json["notes"] = image.notes;
  if (!image.conditions.empty()) json["conditions"] = encode(image.conditions);
  if (image.chosen) json["chosen"] = *image.chosen;
  if (image.broken_chunk) json["brokenChunk"] = *image.broken_chunk;
  if (image.whole_bytes > 0) json["wholeBytes"] = image.whole_bytes;
  return json;
}

Json encode(const OrderRecord& order) {
  Json json = {{"id", order.id.text()},
               {"action", manifest::to_string(order.action)},
               {"state", to_string(order.state)},
               {"since", order.since},
               {"offeredAt", order.offered_at},
               {"images", Json::array()},
               {"licence", to_base64(order.licence)},
               {"attempts", order.attempts},
               {"resumptions", order.resumptions},
               {"damages", order.damages},
               {"failuresInRow", order.failures_in_row},
               {"bytesReceived", order.bytes_received},
               {"bytesBudget", order.bytes_budget},
               {"bytesPerSecond", order.bytes_per_second},
               {"nextTry", order.next_try},
               {"seenOpen", order.seen_open},
               {"waitingFor", order.waiting_for},
               {"conditions", order.conditions}};
  for (const ImageProgress& image : order.images) json["images"].push_back(encode(image));
  if (order.delivery != manifest::Delivery::kOverTheAir)
    json["delivery"] = manifest::to_string(order.delivery);
  if (order.error) json["error"] = encode(*order.error);
  if (order.timing) json["timing"] = encode(*order.timing);
  if (order.untried) json["untried"] = true;
  if (order.committed) json["committed"] = true;
  if (order.trial_starts > 0) json["trialStarts"] = order.trial_starts;
  if (order.undo.failures > 0) json["undoFailures"] = order.undo.failures;
  if (order.undo.error) json["undoError"] = encode(*order.undo.error);
  return json;
}

Json encode(const EcuSeen& ecu) {
  Json json = {{"hardware", ecu.hardware.text()}, {"phase", ecu.phase},     {"image", ecu.image},
               {"sha256", to_hex(ecu.sha256)},    {"attack", ecu.attack},   {"silent", ecu.silent},
               {"counter", ecu.counter},          {"key", to_hex(ecu.key)}, {"at", ecu.at}};
  if (ecu.error) json["error"] = encode(*ecu.error);
  if (ecu.report_error) json["reportError"] = encode(*ecu.report_error);
  return json;
}

Json encode(const SlotRecord& slot) {
  return {{"image", slot.image.text()},
          {"version", slot.version},
          {"sha256", to_hex(slot.sha256)},
          {"length", slot.length},
          {"releaseCounter", slot.release_counter},
          {"path", slot.path}};
}

Json encode(const FunctionRecord& function) {
  Json json = {
      {"counter", function.newest.counter},       {"content", to_hex(function.newest.content)},
      {"licenceKey", function.licence_key},       {"keyRelease", function.key_release},
      {"provenCounter", function.proven_counter}, {"on", function.on}};
  if (function.told_until) json["toldUntil"] = *function.told_until;
  return json;
}

Json encode_visits(const std::map<manifest::RegionId, UnixSeconds>& visits) {
  Json json = Json::object();
  for (const auto& [region, at] : visits) json[region.text()] = at;
  return json;
}

// ---- reading ------------------------------------------------------------------------------------

template <typename T>
Result<T> number(const Json& object, std::string_view key) {
  return static_cast<T>(TRY(manifest::uint_field(
      object, key,
      std::numeric_limits<T>::max() > manifest::kJsonIntegerMax ? manifest::kJsonIntegerMax
                                                                : std::numeric_limits<T>::max())));
}

Result<UnixSeconds> seconds(const Json& object, std::string_view key) {
  return static_cast<UnixSeconds>(TRY(manifest::uint_field(object, key)));
}

Result<std::optional<Error>> optional_error(const Json& object, std::string_view key) {
  const Json* json = manifest::find_field(object, key);
  if (json == nullptr) return std::optional<Error>{};
  const auto code = TRY(number<std::uint16_t>(*json, "code"));
  std::string text = TRY(manifest::text_field(*json, "text"));
  return std::optional<Error>(
      Error(error_code(code).value_or(ErrorCode::kInternal), std::move(text)));
}

Result<manifest::Payload> decode_payload(const Json& json) {
  manifest::Payload payload;
  payload.sha256 = TRY(manifest::digest_field(json, "sha256"));
  payload.length = TRY(manifest::uint_field(json, "length"));
  payload.head_sha256 = TRY(manifest::digest_field(json, "headSha256"));
  payload.head_length = TRY(manifest::uint_field(json, "headLength"));
  if (manifest::find_field(json, "base") != nullptr)
    payload.base = TRY(manifest::digest_field(json, "base"));
  payload.needs = TRY(manifest::re_encoders_field(json, "needs"));
  return payload;
}

Result<std::vector<manifest::PackageCondition>> decode_conditions(const Json& json) {
  std::vector<manifest::PackageCondition> conditions;
  if (manifest::find_field(json, "conditions") == nullptr) return conditions;
  for (const Json& condition : *TRY(manifest::array_field(json, "conditions"))) {
    conditions.push_back(TRY(manifest::read_package_condition(condition)));
    if (!manifest::ConditionExpression::parse(conditions.back().expression))
      return fail(ErrorCode::kBadFormat, "a condition that nobody can read");
  }
  return conditions;
}

Result<std::optional<Timing>> decode_timing(const Json& order) {
  if (manifest::find_field(order, "timing") == nullptr) return std::optional<Timing>{};
  const Json& json = *TRY(manifest::object_field(order, "timing"));
  Timing timing;
  timing.locked_at = TRY(seconds(json, "lockedAt"));
  timing.began_at = TRY(seconds(json, "beganAt"));
  timing.shown_seconds = TRY(manifest::uint_field(json, "shownSeconds"));
  timing.had_to_wait = TRY(manifest::bool_field(json, "hadToWait"));
  if (manifest::find_field(json, "waitsSince") != nullptr)
    timing.waits_since = TRY(seconds(json, "waitsSince"));
  if (manifest::find_field(json, "tookSeconds") != nullptr)
    timing.took_seconds = TRY(manifest::uint_field(json, "tookSeconds"));
  if (manifest::find_field(json, "sinceLockSeconds") != nullptr)
    timing.since_lock_seconds = TRY(manifest::uint_field(json, "sinceLockSeconds"));
  return std::optional<Timing>(timing);
}

Result<std::vector<Measurement>> decode_measurements(const Json& record) {
  std::vector<Measurement> measurements;
  if (manifest::find_field(record, "measurements") == nullptr) return measurements;
  for (const Json& json : *TRY(manifest::array_field(record, "measurements"))) {
    const auto kind = TRY(manifest::parse_image_kind(TRY(manifest::text_field(json, "kind"))));
    Measurement one{.kind = kind};
    one.bytes = TRY(manifest::uint_field(json, "bytes"));
    one.seconds = TRY(manifest::uint_field(json, "seconds"));
    measurements.push_back(one);
  }
  return measurements;
}

Result<ImageProgress> decode_image(const Json& json) {
  auto name = TRY(manifest::ImageName::parse(TRY(manifest::text_field(json, "name"))));
  auto slot = TRY(manifest::Slot::parse(TRY(manifest::text_field(json, "slot"))));
  ImageProgress image{.name = std::move(name), .slot = std::move(slot)};
  image.version = TRY(manifest::text_field(json, "version"));
  image.length = TRY(manifest::uint_field(json, "length"));
  image.sha256 = TRY(manifest::digest_field(json, "sha256"));
  image.release_counter = TRY(manifest::uint_field(json, "releaseCounter"));
  image.duration_seconds = TRY(manifest::uint_field(json, "durationSeconds"));
  image.battery_percent_min = TRY(manifest::uint_field(json, "batteryPercentMin", 100));
  image.licence_key = TRY(manifest::text_field(json, "licenceKey"));
  if (manifest::find_field(json, "network") != nullptr)  // journals of 0.1.0 have none
    image.network = TRY(manifest::parse_network_need(TRY(manifest::text_field(json, "network"))));
  if (manifest::find_field(json, "ecus") != nullptr)
    for (const Json& ecu : *TRY(manifest::array_field(json, "ecus"))) {
      if (!ecu.is_string()) return fail(ErrorCode::kBadFormat, "ecus: a text each");
      image.ecus.push_back(TRY(manifest::EcuSerial::parse(ecu.get_ref<const std::string&>())));
    }
  image.conditions = TRY(decode_conditions(json));
  if (manifest::find_field(json, "notes") != nullptr)
    image.notes = TRY(manifest::read_notes(*TRY(manifest::object_field(json, "notes"))));
  for (const Json& payload : *TRY(manifest::array_field(json, "payloads")))
    image.payloads.push_back(TRY(decode_payload(payload)));
  if (manifest::find_field(json, "chosen") != nullptr) {
    if (image.payloads.empty()) return fail(ErrorCode::kBadFormat, "a choice of no payloads");
    image.chosen = TRY(manifest::uint_field(json, "chosen", image.payloads.size() - 1));
  }
  image.chunk_count = TRY(number<std::uint32_t>(json, "chunkCount"));
  image.chunks_done = TRY(number<std::uint32_t>(json, "chunksDone"));
  image.bytes_done = TRY(manifest::uint_field(json, "bytesDone"));
  image.complete = TRY(manifest::bool_field(json, "complete"));
  if (manifest::find_field(json, "brokenChunk") != nullptr)
    image.broken_chunk = TRY(number<std::uint32_t>(json, "brokenChunk"));
  if (manifest::find_field(json, "wholeBytes") != nullptr)
    image.whole_bytes = TRY(manifest::uint_field(json, "wholeBytes"));
  return image;
}

Result<manifest::OrderAction> decode_action(const Json& json) {
  const std::string text = TRY(manifest::text_field(json, "action"));
  for (const auto action : {manifest::OrderAction::kInstall, manifest::OrderAction::kLicence,
                            manifest::OrderAction::kDeactivate})
    if (manifest::to_string(action) == text) return action;
  return fail(ErrorCode::kBadFormat, "unknown action {}", text);
}

Result<void> decode_lists(const Json& json, OrderRecord& order) {
  for (const Json& image : *TRY(manifest::array_field(json, "images")))
    order.images.push_back(TRY(decode_image(image)));
  note_demands(order);
  for (const Json& name : *TRY(manifest::array_field(json, "waitingFor"))) {
    if (!name.is_string()) return fail(ErrorCode::kBadFormat, "waitingFor holds other than text");
    order.waiting_for.push_back(name.get<std::string>());
  }
  const Json& conditions = *TRY(manifest::object_field(json, "conditions"));
  for (auto at = conditions.begin(); at != conditions.end(); ++at)
    order.conditions[at.key()] = TRY(manifest::text_field(conditions, at.key()));
  return {};
}

// Journals of 0.1.0 have none of this: whatever was under way may have been on trial.
Result<void> decode_switch(const Json& json, OrderRecord& order) {
  if (manifest::find_field(json, "untried") != nullptr)
    order.untried = TRY(manifest::bool_field(json, "untried"));
  if (manifest::find_field(json, "committed") != nullptr)
    order.committed = TRY(manifest::bool_field(json, "committed"));
  if (manifest::find_field(json, "trialStarts") != nullptr)
    order.trial_starts = TRY(number<std::uint32_t>(json, "trialStarts"));
  if (manifest::find_field(json, "undoFailures") != nullptr)
    order.undo.failures = TRY(number<std::uint32_t>(json, "undoFailures"));
  order.undo.error = TRY(optional_error(json, "undoError"));
  return {};
}

Result<OrderRecord> decode_order(const Json& json) {
  auto id = TRY(manifest::OrderId::parse(TRY(manifest::text_field(json, "id"))));
  OrderRecord order{.id = std::move(id)};
  order.action = TRY(decode_action(json));
  if (manifest::find_field(json, "delivery") != nullptr)
    order.delivery = TRY(manifest::parse_delivery(TRY(manifest::text_field(json, "delivery"))));
  const std::string state = TRY(manifest::text_field(json, "state"));
  const auto parsed = state_from(state);
  if (!parsed) return fail(ErrorCode::kBadFormat, "unknown state {}", state);
  order.state = *parsed;
  order.since = TRY(seconds(json, "since"));
  order.offered_at = order.since;
  if (manifest::find_field(json, "offeredAt") != nullptr)
    order.offered_at = TRY(seconds(json, "offeredAt"));
  order.licence = TRY(from_base64(TRY(manifest::text_field(json, "licence"))));
  order.attempts = TRY(number<std::uint32_t>(json, "attempts"));
  order.resumptions = TRY(number<std::uint32_t>(json, "resumptions"));
  order.damages = TRY(number<std::uint32_t>(json, "damages"));
  order.failures_in_row = TRY(number<std::uint32_t>(json, "failuresInRow"));
  order.bytes_received = TRY(manifest::uint_field(json, "bytesReceived"));
  order.bytes_budget = TRY(manifest::uint_field(json, "bytesBudget"));
  order.bytes_per_second = TRY(manifest::uint_field(json, "bytesPerSecond"));
  order.next_try = TRY(seconds(json, "nextTry"));
  order.error = TRY(optional_error(json, "error"));
  order.seen_open = TRY(manifest::bool_field(json, "seenOpen"));
  order.timing = TRY(decode_timing(json));
  TRY_VOID(decode_switch(json, order));
  TRY_VOID(decode_lists(json, order));
  return order;
}

Result<SlotRecord> decode_slot(const Json& json) {
  auto image = TRY(manifest::ImageName::parse(TRY(manifest::text_field(json, "image"))));
  SlotRecord slot{.image = std::move(image)};
  slot.version = TRY(manifest::text_field(json, "version"));
  slot.sha256 = TRY(manifest::digest_field(json, "sha256"));
  slot.length = TRY(manifest::uint_field(json, "length"));
  slot.release_counter = TRY(manifest::uint_field(json, "releaseCounter"));
  slot.path = TRY(manifest::text_field(json, "path"));
  return slot;
}

Result<FunctionRecord> decode_function(const Json& json) {
  FunctionRecord function;
  function.newest.counter = TRY(manifest::uint_field(json, "counter"));
  function.newest.content = TRY(manifest::digest_field(json, "content"));
  function.licence_key = TRY(manifest::text_field(json, "licenceKey"));
  function.on = TRY(manifest::bool_field(json, "on"));
  if (manifest::find_field(json, "keyRelease") != nullptr)
    function.key_release = TRY(manifest::uint_field(json, "keyRelease"));
  function.proven_counter = function.newest.counter;
  if (manifest::find_field(json, "provenCounter") != nullptr)
    function.proven_counter = TRY(manifest::uint_field(json, "provenCounter"));
  if (manifest::find_field(json, "toldUntil") != nullptr)
    function.told_until = TRY(seconds(json, "toldUntil"));
  return function;
}

Result<void> decode_server_part(const Json& json, Record& record) {
  record.report_counter = TRY(manifest::uint_field(json, "reportCounter"));
  record.report_acknowledged = TRY(manifest::uint_field(json, "reportAcknowledged"));
  record.report_content = TRY(manifest::digest_field(json, "reportContent"));
  record.time_signed = TRY(seconds(json, "timeSigned"));
  record.time_rtc_then = TRY(seconds(json, "timeRtcThen"));
  // Journals of 0.1.0 do not have these three.
  if (manifest::find_field(json, "reportSha256") != nullptr)
    record.report_sha256 = TRY(manifest::digest_field(json, "reportSha256"));
  record.time_keys = TRY(manifest::time_keys_field(json, "timeKeys"));
  if (manifest::find_field(json, "timeCounted") != nullptr)
    record.time_counted = TRY(seconds(json, "timeCounted"));
  record.poll_last = TRY(seconds(json, "pollLast"));
  record.poll_next = TRY(seconds(json, "pollNext"));
  record.poll_failures = TRY(number<std::uint32_t>(json, "pollFailures"));
  record.poll_error = TRY(optional_error(json, "pollError"));
  record.director_etag = TRY(manifest::text_field(json, "directorEtag"));
  record.image_etag = TRY(manifest::text_field(json, "imageEtag"));
  record.attack = TRY(manifest::text_field(json, "attack"));
  record.private_mode = TRY(manifest::bool_field(json, "privateMode"));
  return {};
}

// Journals of 0.1.0 have none of this.
Result<void> decode_network_part(const Json& json, Record& record) {
  if (manifest::find_field(json, "dataMonth") == nullptr) return {};
  record.data_month = TRY(manifest::text_field(json, "dataMonth"));
  record.data_bytes = TRY(manifest::uint_field(json, "dataBytes"));
  record.map_ask_next = TRY(seconds(json, "mapAskNext"));
  record.map_found = TRY(manifest::text_field(json, "mapFound"));
  const Json& visits = *TRY(manifest::object_field(json, "visits"));
  for (auto at = visits.begin(); at != visits.end(); ++at)
    record.visits.emplace(TRY(manifest::RegionId::parse(at.key())), TRY(seconds(visits, at.key())));
  if (manifest::find_field(json, "mapsAnnounced") == nullptr) return {};
  record.bearer = TRY(manifest::text_field(json, "bearer"));
  record.roaming = TRY(manifest::text_field(json, "roaming"));
  if (manifest::find_field(json, "ownerTime") != nullptr)
    record.owner_time = TRY(seconds(json, "ownerTime"));
  record.maps_announced = TRY(region_list_field(json, "mapsAnnounced", kWishedRegionsMax));
  return {};
}

// The agent of 0.1.0 wrote slot A of a car without an image of what it runs. What it has started
// there comes to its end; everything else waits until somebody has named the slot.
bool writes_slot_a(const Record& record) {
  const bool is_started = std::ranges::any_of(record.orders, [](const OrderRecord& order) {
    return is_past_no_return(order.state) && is_software(order);
  });
  return is_started && !record.factory_slot && !record.slots.contains(manifest::Slot::software());
}

// Journals of 0.1.0 have none of this.
Result<void> decode_boot_part(const Json& json, Record& record) {
  record.boot_error = TRY(optional_error(json, "bootError"));
  if (manifest::find_field(json, "factorySlot") != nullptr)
    record.factory_slot = TRY(parse_boot_slot(TRY(manifest::text_field(json, "factorySlot"))));
  if (writes_slot_a(record)) record.factory_slot = BootSlot::kB;
  return {};
}

Result<EcuSeen> decode_ecu(const Json& json) {
  auto hardware = TRY(manifest::HardwareId::parse(TRY(manifest::text_field(json, "hardware"))));
  EcuSeen ecu{.hardware = std::move(hardware)};
  ecu.phase = TRY(manifest::text_field(json, "phase"));
  ecu.image = TRY(manifest::text_field(json, "image"));
  ecu.sha256 = TRY(manifest::digest_field(json, "sha256"));
  ecu.attack = TRY(manifest::text_field(json, "attack"));
  ecu.at = TRY(seconds(json, "at"));
  ecu.error = TRY(optional_error(json, "error"));
  ecu.silent = TRY(manifest::bool_field(json, "silent"));
  ecu.report_error = TRY(optional_error(json, "reportError"));
  ecu.counter = TRY(manifest::uint_field(json, "counter"));
  ecu.key = TRY(array_from_hex<32>(TRY(manifest::text_field(json, "key"))));
  return ecu;
}

// Cars without secondaries have none of this.
Result<void> decode_ecus(const Json& json, Record& record) {
  if (manifest::find_field(json, "reportEcus") != nullptr)
    record.report_ecus = TRY(manifest::digest_field(json, "reportEcus"));
  if (manifest::find_field(json, "ecus") == nullptr) return {};
  const Json& ecus = *TRY(manifest::object_field(json, "ecus"));
  for (auto at = ecus.begin(); at != ecus.end(); ++at)
    record.ecus.emplace(TRY(manifest::EcuSerial::parse(at.key())), TRY(decode_ecu(at.value())));
  return {};
}

}  // namespace

Result<Bytes> encode_record(const Record& record) {
  Json json = {{"version", kVersion},
               {"orders", Json::array()},
               {"slots", Json::object()},
               {"functions", Json::object()},
               {"mapSet", record.map_set},
               {"measurements", encode(record.measurements)},
               {"reportCounter", record.report_counter},
               {"reportAcknowledged", record.report_acknowledged},
               {"reportContent", to_hex(record.report_content)},
               {"reportSha256", to_hex(record.report_sha256)},
               {"timeSigned", record.time_signed},
               {"timeKeys", manifest::to_json(record.time_keys)},
               {"timeRtcThen", record.time_rtc_then},
               {"timeCounted", record.time_counted},
               {"pollLast", record.poll_last},
               {"pollNext", record.poll_next},
               {"pollFailures", record.poll_failures},
               {"directorEtag", record.director_etag},
               {"imageEtag", record.image_etag},
               {"attack", record.attack},
               {"privateMode", record.private_mode},
               {"dataMonth", record.data_month},
               {"dataBytes", record.data_bytes},
               {"visits", encode_visits(record.visits)},
               {"bearer", record.bearer},
               {"roaming", record.roaming},
               {"mapsAnnounced", region_list_json(record.maps_announced)},
               {"mapAskNext", record.map_ask_next},
               {"mapFound", record.map_found}};
  for (const OrderRecord& order : record.orders) json["orders"].push_back(encode(order));
  for (const auto& [slot, held] : record.slots) json["slots"][slot.text()] = encode(held);
  for (const auto& [id, function] : record.functions)
    json["functions"][id.text()] = encode(function);
  for (const auto& [serial, ecu] : record.ecus) json["ecus"][serial.text()] = encode(ecu);
  if (record.report_ecus != crypto::Digest256{}) json["reportEcus"] = to_hex(record.report_ecus);
  if (record.poll_error) json["pollError"] = encode(*record.poll_error);
  if (record.owner_time) json["ownerTime"] = *record.owner_time;
  if (record.factory_slot) json["factorySlot"] = to_string(*record.factory_slot);
  if (record.boot_error) json["bootError"] = encode(*record.boot_error);
  return to_bytes(TRY(manifest::to_wire(json)));
}

Result<Record> decode_record(ByteSpan bytes) {
  const Json json = TRY(manifest::parse_strict(bytes, {.bytes_max = kJournalBytesMax}));
  const std::uint64_t version = TRY(manifest::uint_field(json, "version"));
  if (version != kVersion)
    return fail(ErrorCode::kUnsupported, "journal version {} is unknown", version);
  Record record;
  for (const Json& order : *TRY(manifest::array_field(json, "orders")))
    record.orders.push_back(TRY(decode_order(order)));
  const Json& slots = *TRY(manifest::object_field(json, "slots"));
  for (auto at = slots.begin(); at != slots.end(); ++at)
    record.slots.emplace(TRY(manifest::Slot::parse(at.key())), TRY(decode_slot(at.value())));
  const Json& functions = *TRY(manifest::object_field(json, "functions"));
  for (auto at = functions.begin(); at != functions.end(); ++at)
    record.functions.emplace(TRY(manifest::FunctionId::parse(at.key())),
                             TRY(decode_function(at.value())));
  record.map_set = TRY(manifest::uint_field(json, "mapSet"));
  record.measurements = TRY(decode_measurements(json));
  TRY_VOID(decode_server_part(json, record));
  TRY_VOID(decode_network_part(json, record));
  TRY_VOID(decode_boot_part(json, record));
  TRY_VOID(decode_ecus(json, record));
  return record;
}

}  // namespace layby::agent
