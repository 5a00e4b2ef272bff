#include "manifest/report.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/assert.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

constexpr std::size_t kReportTextMax = 512;  // bytes; of any one text in a report
constexpr std::size_t kReportOrdersMax = 64;
constexpr std::size_t kReasonCharactersMax = 32;
// A report that goes into a manifest lies deeper there.
constexpr std::size_t kReportDepthMax = kJsonDepthMax / 2;

constexpr std::array<std::pair<OrderState, std::string_view>, 12> kOrderStates = {{
    {OrderState::kOffered, "offered"},
    {OrderState::kDownloading, "downloading"},
    {OrderState::kDownloaded, "downloaded"},
    {OrderState::kWaiting, "waiting"},
    {OrderState::kInstalling, "installing"},
    {OrderState::kActivating, "activating"},
    {OrderState::kConfirming, "confirming"},
    {OrderState::kRollingBack, "rolling-back"},
    {OrderState::kActive, "active"},
    {OrderState::kDeactivated, "deactivated"},
    {OrderState::kFailed, "failed"},
    {OrderState::kRefused, "refused"},
}};

// Texts come from anywhere, error messages with names of files in them. A car must never fall
// silent over one: what is not printable ASCII becomes '?', what is too long is cut.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, kReportTextMax));
  std::ranges::replace_if(
      out, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

Json order_json(const OrderReport& order) {
  Json object{{"id", order.id.text()},
              {"state", to_string(order.state)},
              {"since", format_utc(order.since)},
              {"bytesDone", order.bytes_done},
              {"bytesTotal", order.bytes_total}};
  if (order.error)
    object["error"] = Json{{"code", order.error->code},
                           {"name", printable(order.error->name)},
                           {"text", printable(order.error->text)}};
  if (!order.conditions.empty()) {
    Json conditions = Json::object();
    for (const auto& [signal, value] : order.conditions)
      conditions[printable(signal)] = printable(value);
    object["conditions"] = std::move(conditions);
  }
  if (order.duration)
    object["duration"] = Json{{"shown", order.duration->shown},
                              {"took", order.duration->took},
                              {"sinceLock", order.duration->since_lock}};
  return object;
}

Json report_json(const EcuReport& report) {
  Json installed = Json::object();
  for (const auto& [slot, image] : report.installed)
    installed[slot.text()] = Json{{"image", image.image.text()},
                                  {"sha256", to_hex(image.sha256)},
                                  {"length", image.length},
                                  {"releaseCounter", image.release_counter}};
  Json functions = Json::object();
  for (const auto& [id, function] : report.functions) {
    Json entry{{"counter", function.counter}, {"state", to_string(function.state)}};
    if (function.until) entry["until"] = format_utc(*function.until);
    functions[id.text()] = std::move(entry);
  }
  Json orders = Json::array();
  for (const OrderReport& order : report.orders) orders.push_back(order_json(order));
  Json object{{"_type", "ecu-report"},
              {"ecu", report.ecu.text()},
              {"counter", report.counter},
              {"time", format_utc(report.time)},
              {"agent", printable(report.agent)},
              {"installed", std::move(installed)},
              {"functions", std::move(functions)},
              {"attack", printable(report.attack)},
              {"orders", std::move(orders)}};
  if (!report.re_encoders.empty()) object["reEncoders"] = report.re_encoders;
  return object;
}

// What a car says is shown in consoles, terminals and logs.
Result<void> check_printable(std::string_view text, std::string_view what) {
  if (text != printable(text))
    return fail(ErrorCode::kBadFormat, "\"{}\" is not at most {} characters of printable ASCII",
                what, kReportTextMax);
  return {};
}

Result<std::string> report_text(const Json& object, std::string_view key) {
  std::string text = TRY(text_field(object, key));
  TRY_VOID(check_printable(text, key));
  return text;
}

Result<ErrorReport> read_error(const Json& object) {
  ErrorReport error;
  error.code = TRY(uint_field(object, "code"));
  error.name = TRY(report_text(object, "name"));
  error.text = TRY(report_text(object, "text"));
  return error;
}

Result<OrderReport> read_order(const Json& object) {
  OrderId id = TRY(OrderId::parse(TRY(text_field(object, "id"))));
  OrderReport order{.id = std::move(id), .error = std::nullopt, .conditions = {}};
  order.state = TRY(parse_order_state(TRY(text_field(object, "state"))));
  order.since = TRY(time_field(object, "since"));
  order.bytes_done = TRY(uint_field(object, "bytesDone"));
  order.bytes_total = TRY(uint_field(object, "bytesTotal"));
  if (const Json* error = find_field(object, "error")) order.error = TRY(read_error(*error));
  if (find_field(object, "conditions")) {
    const Json* conditions = TRY(object_field(object, "conditions"));
    for (const auto& [signal, value] : conditions->get_ref<const Json::object_t&>()) {
      TRY_VOID(check_printable(signal, "conditions"));
      order.conditions.emplace(signal, TRY(report_text(*conditions, signal)));
    }
  }
  if (find_field(object, "duration")) {
    const Json* duration = TRY(object_field(object, "duration"));
    order.duration.emplace();
    order.duration->shown = TRY(uint_field(*duration, "shown"));
    order.duration->took = TRY(uint_field(*duration, "took"));
    order.duration->since_lock = TRY(uint_field(*duration, "sinceLock"));
  }
  return order;
}

Result<InstalledImage> read_installed(const Json& object, const Slot& slot) {
  ImageName image = TRY(ImageName::parse(TRY(text_field(object, "image"))));
  InstalledImage installed{.image = std::move(image)};
  installed.sha256 = TRY(digest_field(object, "sha256"));
  installed.length = TRY(uint_field(object, "length"));
  installed.release_counter = TRY(uint_field(object, "releaseCounter"));
  if (!installed.image.may_go_to(slot))
    return fail(ErrorCode::kBadFormat, "{} does not go there", installed.image.text());
  return installed;
}

Result<FunctionReport> read_function(const Json& object) {
  FunctionReport function;
  function.counter = TRY(uint_field(object, "counter"));
  function.state = TRY(parse_function_state(TRY(text_field(object, "state"))));
  if (find_field(object, "until")) function.until = TRY(time_field(object, "until"));
  return function;
}

Result<EcuReport> read_report(const Json& object) {
  if (TRY(text_field(object, "_type")) != "ecu-report")
    return fail(ErrorCode::kBadFormat, "not an ECU report");
  EcuSerial ecu = TRY(EcuSerial::parse(TRY(text_field(object, "ecu"))));
  EcuReport report{.ecu = std::move(ecu),
                   .agent = {},
                   .installed = {},
                   .functions = {},
                   .attack = {},
                   .orders = {}};
  report.counter = TRY(uint_field(object, "counter"));
  report.time = TRY(time_field(object, "time"));
  report.agent = TRY(report_text(object, "agent"));
  report.attack = TRY(report_text(object, "attack"));
  report.re_encoders = TRY(re_encoders_field(object, "reEncoders"));
  const Json* installed = TRY(object_field(object, "installed"));
  for (const auto& [text, image] : installed->get_ref<const Json::object_t&>()) {
    const Slot slot = TRY(Slot::parse(text));
    report.installed.emplace(slot, TRY_CONTEXT(read_installed(image, slot), text));
  }
  const Json* functions = TRY(object_field(object, "functions"));
  for (const auto& [id, function] : functions->get_ref<const Json::object_t&>())
    report.functions.emplace(TRY(FunctionId::parse(id)), TRY_CONTEXT(read_function(function), id));
  const Json* orders = TRY(array_field(object, "orders"));
  if (orders->size() > kReportOrdersMax)
    return fail(ErrorCode::kBadFormat, "more than {} orders", kReportOrdersMax);
  std::set<OrderId> ids;
  for (const Json& order : *orders) {
    report.orders.push_back(TRY_CONTEXT(read_order(order), "orders"));
    // Two states of one order at once: which of them would move the money?
    if (!ids.insert(report.orders.back().id).second)
      return fail(ErrorCode::kBadFormat, "the order {} stands twice",
                  report.orders.back().id.text());
  }
  return report;
}

// An exchanged part has a key of its own, and nobody has let it in.
Result<void> check_key(const Envelope& envelope, const KnownEcu& known) {
  const bool is_known = std::ranges::any_of(envelope.signatures(), [&](const Signature& signature) {
    return signature.key_id == known.key.id();
  });
  if (is_known) return {};
  return fail(ErrorCode::kWrongEcu, "signed with a key that is not this ECU's");
}

enum class EcuRank { kPrimary, kSecondary };

Result<void> check_about_itself(const EcuReport& report, const KnownEcu& known, EcuRank rank) {
  if (!known.hardware) return {};
  const auto fits = [&](const Slot& slot) {
    switch (rank) {
      case EcuRank::kPrimary: return !slot.is_secondary();
      case EcuRank::kSecondary: return slot == Slot::software(*known.hardware);
    }
    LAYBY_ASSERT(false);
  };
  for (const auto& [slot, image] : report.installed)
    if (!fits(slot))
      return fail(ErrorCode::kWrongEcu, "{} is not for this ECU to report", slot.text());
  const bool is_secondary = rank == EcuRank::kSecondary;
  if (is_secondary && (!report.orders.empty() || !report.functions.empty()))
    return fail(ErrorCode::kWrongEcu, "orders and functions are for the primary to report");
  return {};
}

// The signature first; then who says it; then whether it is news.
Result<EcuReport> verify_report(const std::string& serial, const Json& document,
                                const KnownEcu& known, EcuRank rank) {
  const Envelope envelope = TRY(Envelope::from_json(document));
  TRY_VOID(check_key(envelope, known));
  TRY_VOID(verify_signature(envelope, known.key, "ECU report"));
  auto report = read_report(envelope.signed_part());
  if (!report) return fail(ErrorCode::kBadFormat, "{}", report.error().message());
  if (report->ecu.text() != serial)
    return fail(ErrorCode::kWrongEcu, "a report of {} in its place", report->ecu.text());
  TRY_VOID(check_about_itself(*report, known, rank));
  return report;
}

Result<void> check_counter(const EcuReport& report, const KnownEcu& known) {
  if (report.counter > known.counter) return {};
  return fail(ErrorCode::kReplay, "{}: counter {}, {} was taken already", report.ecu.text(),
              report.counter, known.counter);
}

bool is_reason(std::string_view text) {
  return !text.empty() && text.size() <= kReasonCharactersMax &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

// Nobody is both heard and silent, and who brings the manifest is not silent.
Result<SilentEcus> read_silent(const Json& part, const KnownCar& car,
                               const std::map<EcuSerial, EcuReport>& heard) {
  SilentEcus silent;
  if (find_field(part, "silent") == nullptr) return silent;
  const Json& listed = *TRY(object_field(part, "silent"));
  for (const auto& [serial, unused] : listed.get_ref<const Json::object_t&>()) {
    const auto name = EcuSerial::parse(serial);
    if (!name || !car.ecus.contains(*name))
      return fail(ErrorCode::kWrongEcu, "the car has no ECU {}", printable(serial));
    if (*name == car.primary || heard.contains(*name))
      return fail(ErrorCode::kWrongEcu, "{} is named as silent, and speaks", serial);
    std::string reason = TRY_CONTEXT(text_field(listed, serial), "silent");
    if (!is_reason(reason)) return fail(ErrorCode::kBadFormat, "silent: {}: no reason", serial);
    silent.emplace(*name, std::move(reason));
  }
  return silent;
}

}  // namespace

std::string_view to_string(OrderState state) {
  const auto at =
      std::ranges::find(kOrderStates, state, &std::pair<OrderState, std::string_view>::first);
  LAYBY_ASSERT(at != kOrderStates.end());
  return at->second;
}

Result<OrderState> parse_order_state(std::string_view text) {
  for (const auto& [state, name] : kOrderStates)
    if (name == text) return state;
  return fail(ErrorCode::kInvalidArgument, "no state of an order: {}", printable(text));
}

ErrorReport describe_error(const Error& error) {
  return {static_cast<std::uint64_t>(error.code()), std::string(to_string(error.code())),
          error.message()};
}

Result<Bytes> make_ecu_report(const EcuReport& report, const crypto::Signer& ecu) {
  return sign_envelope(report_json(report), ecu);
}

Result<crypto::Digest256> ecu_report_digest(const EcuReport& report) {
  return crypto::sha256(as_bytes(TRY(to_canonical(report_json(report)))));
}

Result<Bytes> make_vehicle_manifest(const Vin& vin, const EcuSerial& primary,
                                    const std::map<EcuSerial, Bytes>& reports,
                                    const crypto::Signer& primary_key, const SilentEcus& silent) {
  LAYBY_ASSERT(reports.contains(primary));
  Json ecus = Json::object();
  for (const auto& [serial, bytes] : reports) {
    if (bytes.size() > kVehicleManifestBytesMax)
      return fail(ErrorCode::kTooLarge, "{}: a report of {} bytes, at most {} are allowed",
                  serial.text(), bytes.size(), kVehicleManifestBytesMax);
    ecus[serial.text()] =
        TRY_CONTEXT(parse_strict(bytes, {.bytes_max = kVehicleManifestBytesMax}), serial.text());
  }
  Json part{{"_type", "vehicle-manifest"},
            {"vin", vin.text()},
            {"primary", primary.text()},
            {"ecus", std::move(ecus)}};
  for (const auto& [serial, reason] : silent) {
    LAYBY_ASSERT(!reports.contains(serial) && is_reason(reason));
    part["silent"][serial.text()] = reason;
  }
  Bytes manifest = TRY(sign_envelope(part, primary_key));
  if (manifest.size() > kVehicleManifestBytesMax)
    return fail(ErrorCode::kTooLarge, "a vehicle manifest of {} bytes, at most {} are allowed",
                manifest.size(), kVehicleManifestBytesMax);
  return manifest;
}

Result<EcuReport> verify_secondary_report(ByteSpan bytes, const EcuSerial& serial,
                                          const KnownEcu& known) {
  const Json document = TRY(
      parse_strict(bytes, {.bytes_max = kSecondaryReportBytesMax, .depth_max = kReportDepthMax}));
  EcuReport report = TRY(verify_report(serial.text(), document, known, EcuRank::kSecondary));
  TRY_VOID(check_counter(report, known));
  return report;
}

Result<void> check_report_time(const EcuReport& report, UnixSeconds now,
                               UnixSeconds ahead_seconds_max) {
  if (report.time <= now + ahead_seconds_max) return {};
  return fail(ErrorCode::kUntrustedTime, "{} reports the time {}, it is {}", report.ecu.text(),
              format_utc(report.time), format_utc(now));
}

Result<VerifiedManifest> verify_vehicle_manifest(ByteSpan bytes, const KnownCar& car) {
  const Envelope envelope =
      TRY_CONTEXT(Envelope::parse(bytes, kVehicleManifestBytesMax), "vehicle manifest");
  const auto primary = car.ecus.find(car.primary);
  LAYBY_ASSERT(primary != car.ecus.end());
  TRY_VOID(verify_signature(envelope, primary->second.key, "vehicle manifest"));
  const Json& part = envelope.signed_part();
  if (TRY(text_field(part, "_type")) != "vehicle-manifest")
    return fail(ErrorCode::kBadFormat, "not a vehicle manifest");
  if (const std::string vin = TRY(text_field(part, "vin")); vin != car.vin.text())
    return fail(ErrorCode::kWrongVehicle, "a manifest of {}, from {}", printable(vin),
                car.vin.text());
  if (TRY(text_field(part, "primary")) != car.primary.text())
    return fail(ErrorCode::kWrongEcu, "the manifest names another primary than {}",
                car.primary.text());

  VerifiedManifest manifest(car.primary, crypto::sha256(bytes));
  const bool repeated = car.last_manifest == manifest.digest_;
  manifest.freshness_ =
      repeated ? VerifiedManifest::Freshness::kRepeated : VerifiedManifest::Freshness::kNew;
  const Json* ecus = TRY(object_field(part, "ecus"));
  for (const auto& [serial, document] : ecus->get_ref<const Json::object_t&>()) {
    const auto name = EcuSerial::parse(serial);
    const auto known = name ? car.ecus.find(*name) : car.ecus.end();
    if (known == car.ecus.end())
      return fail(ErrorCode::kWrongEcu, "the car has no ECU {}", printable(serial));
    const EcuRank rank = *name == car.primary ? EcuRank::kPrimary : EcuRank::kSecondary;
    EcuReport report = TRY_CONTEXT(verify_report(serial, document, known->second, rank), serial);
    if (!repeated) TRY_VOID(check_counter(report, known->second));
    manifest.ecus_.emplace(*name, std::move(report));
  }
  manifest.silent_ = TRY(read_silent(part, car, manifest.ecus_));
  // A partial bundle hides something: of every ECU there is a report, or the primary's word that
  // there is none.
  for (const auto& [serial, known] : car.ecus)
    if (!manifest.ecus_.contains(serial) && !manifest.silent_.contains(serial))
      return fail(ErrorCode::kWrongEcu, "the ECU {} is missing", serial.text());
  return manifest;
}

}  // namespace layby::manifest
