#include "agent/outbox.h"

#include <algorithm>
#include <utility>

#include "agent/re_encoders.h"
#include "agent/version.h"
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/report.h"

namespace layby::agent {
namespace {

constexpr std::int64_t kReportDeadlineMs = 60'000;
constexpr std::uint64_t kAnswerBytesMax = 64 * kKiB;
// How far the counter leaps when the server is ahead of it: further than a lost record or two.
constexpr std::uint64_t kCounterLeap = 1024;

manifest::FunctionState function_state(LicenceVerdict::State state) {
  switch (state) {
    case LicenceVerdict::State::kActive: return manifest::FunctionState::kActive;
    case LicenceVerdict::State::kExpired: return manifest::FunctionState::kExpired;
    case LicenceVerdict::State::kRevoked:
    case LicenceVerdict::State::kRefused: return manifest::FunctionState::kRevoked;
  }
  LAYBY_ASSERT(false);
}

// Functions that are switched on, or that were and whose licence now says otherwise.
void add_functions(const Record& record, const Licences& licences, UnixSeconds now,
                   manifest::EcuReport& report) {
  for (const auto& [id, function] : record.functions) {
    const LicenceVerdict verdict = licences.judge(id, record, now);
    manifest::FunctionState state = function_state(verdict.state);
    // A licence that is not yet, or no longer, carried out says nothing about the car.
    const bool said_active = state == manifest::FunctionState::kActive;
    if (said_active != function.on) continue;
    report.functions.emplace(
        id, manifest::FunctionReport{
                .counter = function.newest.counter, .state = state, .until = verdict.until});
  }
}

manifest::OrderReport order_report(const OrderRecord& order) {
  manifest::OrderReport out{.id = order.id, .error = {}, .conditions = {}};
  const auto state = manifest::parse_order_state(to_string(order.state));
  LAYBY_ASSERT(state.has_value());  // idle orders are not in the record
  out.state = *state;
  out.since = order.since;
  out.bytes_done = order.bytes_done();
  out.bytes_total = order.bytes_total();
  if (order.undo.error) {
    out.error = manifest::describe_error(*order.undo.error);
  } else if (order.error) {
    out.error = manifest::describe_error(*order.error);
  }
  out.conditions = order.conditions;
  if (order.timing && order.timing->took_seconds)
    out.duration = {.shown = order.timing->shown_seconds,
                    .took = *order.timing->took_seconds,
                    .since_lock = order.timing->since_lock_seconds.value_or(0)};
  return out;
}

// None where there are no secondaries.
crypto::Digest256 ecus_content(const Record& record) {
  if (record.ecus.empty()) return {};
  std::string text;
  for (const auto& [serial, ecu] : record.ecus)
    text += fmt::format("\n{} {} {} {}", serial.text(), to_hex(ecu.sha256), ecu.silent, ecu.attack);
  return crypto::sha256(as_bytes(text));
}

}  // namespace

manifest::EcuReport Outbox::picture(const Record& record, UnixSeconds now) const {
  manifest::EcuReport report{.ecu = identity_.ecu,
                             .agent = {},
                             .installed = {},
                             .functions = {},
                             .attack = {},
                             .orders = {}};
  report.agent = kAgentVersion;
  report.re_encoders = available_re_encoders();
  for (const auto& [slot, held] : record.slots)
    if (!slot.is_secondary())  // every ECU speaks for itself
      report.installed.emplace(slot,
                               manifest::InstalledImage{.image = held.image,
                                                        .sha256 = held.sha256,
                                                        .length = held.length,
                                                        .release_counter = held.release_counter});
  add_functions(record, licences_, now, report);
  report.attack = record.attack;
  for (const OrderRecord& order : record.orders) report.orders.push_back(order_report(order));
  return report;
}

Result<crypto::Digest256> Outbox::content(const Record& record, UnixSeconds now) const {
  manifest::EcuReport report = picture(record, now);
  for (manifest::OrderReport& order : report.orders) order.bytes_done = 0;  // no news by itself
  return manifest::ecu_report_digest(report);
}

Result<Outbox::Changed> Outbox::changed(const Record& record, UnixSeconds now) const {
  if (TRY(content(record, now)) != record.report_content) return Changed::kByCar;
  return ecus_content(record) != record.report_ecus ? Changed::kByEcus : Changed::kNo;
}

namespace {

void leave_out(EcuReports& others) {
  for (const auto& [serial, said] : others.reports)
    others.silent.emplace(serial, std::string(to_string(ErrorCode::kReplay)));
  others.reports.clear();
}

}  // namespace

Result<void> Outbox::make(Journal& journal, UnixSeconds now) {
  Record& record = journal.record();
  LAYBY_ASSERT(!is_pending(record));
  const crypto::Digest256 digest = TRY(content(record, now));
  manifest::EcuReport report = picture(record, now);
  report.counter = record.report_counter + 1;
  report.time = now;
  EcuReports others = secondaries_.take_reports();
  if (is_without_ecus_) leave_out(others);
  const Bytes bytes = TRY(sign_what_fits(report, std::move(others)));
  TRY_VOID(disk_.make_dirs(layout_.outbox()));
  TRY_VOID(replace_file(disk_, layout_.pending_manifest(), bytes));
  record.report_counter = report.counter;
  record.report_content = digest;
  record.report_ecus = ecus_content(record);
  record.report_sha256 = crypto::sha256(bytes);
  return journal.save();
}

// How each of many orders ended matters more than what the car said then; and an ECU that says much
// must not take the others' room.
Result<Bytes> Outbox::sign_what_fits(manifest::EcuReport report, EcuReports others) const {
  auto bytes = sign(report, others);
  const auto is_too_large = [&] { return !bytes && bytes.error().code() == ErrorCode::kTooLarge; };
  if (is_too_large()) {
    for (manifest::OrderReport& order : report.orders) order.conditions.clear();
    bytes = sign(report, others);
  }
  while (is_too_large() && !others.reports.empty()) {
    const auto largest = std::ranges::max_element(
        others.reports, {}, [](const auto& said) { return said.second.size(); });
    others.silent.emplace(largest->first, std::string(to_string(ErrorCode::kTooLarge)));
    others.reports.erase(largest);
    bytes = sign(report, others);
  }
  return bytes;
}

Result<Bytes> Outbox::sign(const manifest::EcuReport& report, const EcuReports& others) const {
  std::map<manifest::EcuSerial, Bytes> reports = others.reports;
  reports.insert_or_assign(identity_.ecu, TRY(manifest::make_ecu_report(report, *keys_.ecu)));
  return manifest::make_vehicle_manifest(identity_.vin, identity_.ecu, reports, *keys_.ecu,
                                         others.silent);
}

Result<Bytes> Outbox::read_pending(const Record& record) const {
  auto bytes = read_file(disk_, layout_.pending_manifest(), kVehicleManifestBytesMax);
  if (!bytes) return fail(ErrorCode::kCorrupt, "{}", bytes.error().message());
  const bool is_known = record.report_sha256 != crypto::Digest256{};
  if (is_known && crypto::sha256(*bytes) != record.report_sha256)
    return fail(ErrorCode::kCorrupt, "{} is not the report that was made",
                layout_.pending_manifest());
  return bytes;
}

Result<void> Outbox::give_up(Journal& journal) {
  Record& record = journal.record();
  record.report_acknowledged = record.report_counter;
  record.report_content = {};  // whatever the picture is, it has not been told
  return journal.save();
}

Result<void> Outbox::send(Journal& journal, std::optional<std::int64_t>& retry_after_seconds) {
  Record& record = journal.record();
  LAYBY_ASSERT(is_pending(record));
  const auto bytes = read_pending(record);
  if (!bytes) {
    TRY_VOID(give_up(journal));
    return fail(bytes.error());
  }
  const HttpResponse response =
      TRY(transport_.exchange({.method = HttpRequest::Method::kPost,
                               .path = "/v1/vehicle/manifest",
                               .headers = {{"Content-Type", "application/json"}},
                               .body = std::string(as_text(*bytes)),
                               .bytes_max = kAnswerBytesMax,
                               .deadline_ms = kReportDeadlineMs}));
  // The very same bytes again are a 200: this is another report under a counter that was used.
  if (response.status == 409) {
    is_without_ecus_ = true;
    const std::uint64_t counter =
        std::exchange(record.report_counter, record.report_counter + kCounterLeap);
    TRY_VOID(give_up(journal));
    return fail(ErrorCode::kConflict, "the server has had report {} already, and it was another",
                counter);
  }
  const bool taken = response.status == 200;
  const bool never = !taken && response.status >= 400 && response.status < 500 &&
                     response.status != 408 && response.status != 425 && response.status != 429 &&
                     response.status != 401 && response.status != 403;
  if (taken || never) {
    record.report_acknowledged = record.report_counter;
    TRY_VOID(journal.save());
    is_without_ecus_ = never;
    if (taken) return {};
    return fail(ErrorCode::kForbidden, "the server refuses report {} with {}: {}",
                record.report_counter, response.status, response.body.substr(0, 200));
  }
  retry_after_seconds = response.retry_after_seconds();
  return fail(ErrorCode::kUnavailable, "the server answered {} to report {}", response.status,
              record.report_counter);
}

}  // namespace layby::agent
