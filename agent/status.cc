#include "agent/status.h"

#include "agent/car_identity.h"
#include "agent/durations.h"
#include "agent/journal.h"
#include "agent/licences.h"
#include "agent/texts.h"
#include "agent/trusted_time.h"
#include "agent/vehicle_link.h"
#include "base/time_text.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;

Json error_json(const Error& error) {
  return {{"code", static_cast<unsigned>(error.code())},
          {"name", to_string(error.code())},
          {"text", error.message()}};
}

std::uint64_t bytes_to_go(const OrderRecord& order) {
  const std::uint64_t done = order.bytes_done(), total = order.bytes_total();
  return total > done ? total - done : 0;
}

Json payload_json(const ImageProgress& image) {
  const manifest::Payload& payload = *image.payload();
  Json json = {{"image", image.name.text()},       {"slot", image.slot.text()},
               {"sha256", to_hex(payload.sha256)}, {"chunksVerified", image.chunks_done},
               {"chunkCount", image.chunk_count},  {"bytesVerified", image.bytes_done},
               {"bytesTotal", payload.length}};
  if (payload.base) json["base"] = to_hex(*payload.base);
  return json;
}

Json order_json(const OrderRecord& order, const Record& record) {
  Json json = {{"id", order.id.text()},
               {"action", manifest::to_string(order.action)},
               {"state", to_string(order.state)},
               {"since", format_utc(order.since)},
               {"waitingFor", order.waiting_for},
               {"attempts", order.attempts},
               {"bytesDone", order.bytes_done()},
               {"bytesTotal", order.bytes_total()},
               {"bytesReceived", order.bytes_received},
               {"durationSeconds", shown_seconds(order, record)},
               {"payloads", Json::array()}};
  if (order.next_try != 0) json["nextTry"] = format_utc(order.next_try);
  if (order.error) json["error"] = error_json(*order.error);
  if (order.undo.error) json["undoError"] = error_json(*order.undo.error);
  if (order.timing && order.timing->took_seconds) {
    json["tookSeconds"] = *order.timing->took_seconds;
    json["sinceLockSeconds"] = order.timing->since_lock_seconds.value_or(0);
  }
  if (order.state == State::kDownloading && order.bytes_per_second > 0)
    json["remainingSeconds"] = bytes_to_go(order) / order.bytes_per_second;
  for (const ImageProgress& image : order.images)
    if (image.payload() != nullptr) json["payloads"].push_back(payload_json(image));
  return json;
}

Json function_json(const manifest::FunctionId& id, const LicenceVerdict& verdict) {
  Json json = {{"id", id.text()}, {"state", to_string(verdict.state)}};
  if (verdict.counter > 0) json["counter"] = verdict.counter;
  if (verdict.until) json["until"] = format_utc(*verdict.until);
  if (!verdict.reason.empty()) json["reason"] = verdict.reason;
  return json;
}

Json slot_json(const SlotRecord& held, const Layout& layout) {
  return {{"image", held.image.text()},
          {"version", held.version},
          {"sha256", to_hex(held.sha256)},
          {"length", held.length},
          {"releaseCounter", held.release_counter},
          {"path", layout.absolute(held.path)}};
}

Json ecu_json(const EcuSeen& ecu) {
  Json json = {{"hardware", ecu.hardware.text()}};
  if (!ecu.phase.empty()) json["phase"] = ecu.phase;
  if (!ecu.image.empty()) json["image"] = ecu.image;
  if (!ecu.image.empty()) json["sha256"] = to_hex(ecu.sha256);
  if (!ecu.attack.empty()) json["attack"] = ecu.attack;
  if (ecu.error) json["error"] = error_json(*ecu.error);
  if (ecu.report_error) json["reportError"] = error_json(*ecu.report_error);
  if (ecu.at != 0) json["at"] = format_utc(ecu.at);
  return json;
}

Json vehicle_json(const VehicleLink& link) {
  Json json = {{"connected", link.is_connected}, {"since", format_utc(link.since)}};
  if (!link.error.empty()) json["error"] = link.error;
  if (link.next_try != 0) json["nextTry"] = format_utc(link.next_try);
  return json;
}

std::string vehicle_line(const VehicleLink& link) {
  if (link.is_connected) return fmt::format("car: reached since {}\n", format_utc(link.since));
  const std::string next_try = link.next_try == 0 ? "" : ", next try " + format_utc(link.next_try);
  return fmt::format("car: not reached since {}{}: {}\n", format_utc(link.since), next_try,
                     link.error);
}

struct Sources {
  CarIdentity identity;
  Record record;
  std::map<manifest::FunctionId, LicenceVerdict> licences;
  UnixSeconds trusted_now;
  bool paired;
  std::optional<VehicleLink> link;  // none while no daemon runs, or has looked for the car
};

Result<Sources> gather(Disk& disk, const Clock& clock, const Layout& layout, Daemon daemon) {
  CarIdentity identity = TRY(read_identity(disk, layout));
  const CarKeys keys = TRY(read_keys(disk, layout));
  Record record = TRY(Journal::read(disk, layout.directory()));
  const TrustedTime time(clock, record);
  const Licences licences(disk, layout, identity, keys.seal.secret_key);
  auto verdicts = licences.judge_all(record, time.now());
  const bool paired = disk.status(layout.certificate()).has_value();
  std::optional<VehicleLink> link;
  if (auto read = read_vehicle_link(disk, layout);
      read && read->since != 0 && daemon == Daemon::kRunning)
    link = std::move(*read);
  // The file is written seldom: it was tried again meanwhile.
  if (link && link->next_try <= clock.now()) link->next_try = 0;
  return Sources{std::move(identity), std::move(record), std::move(verdicts), time.now(), paired,
                 std::move(link)};
}

Json to_json(const Sources& sources, const Layout& layout, Daemon daemon) {
  const Record& record = sources.record;
  Json poll = Json::object();
  if (record.poll_last != 0) poll["last"] = format_utc(record.poll_last);
  if (record.poll_next != 0) poll["next"] = format_utc(record.poll_next);
  if (record.poll_error) poll["error"] = error_json(*record.poll_error);
  Json json = {{"vin", sources.identity.vin.text()},
               {"ecu", sources.identity.ecu.text()},
               {"hardware", sources.identity.hardware.text()},
               {"paired", sources.paired},
               {"running", daemon == Daemon::kRunning},
               {"trustedTime", format_utc(sources.trusted_now)},
               {"poll", poll},
               {"privateMode", record.private_mode},
               {"report",
                {{"counter", record.report_counter}, {"acknowledged", record.report_acknowledged}}},
               {"orders", Json::array()},
               {"functions", Json::array()},
               {"slots", Json::object()}};
  if (sources.link) json["vehicle"] = vehicle_json(*sources.link);
  if (record.boot_error) json["bootControl"] = {{"error", error_json(*record.boot_error)}};
  if (!record.attack.empty()) json["attack"] = record.attack;
  if (!record.data_month.empty())
    json["meteredData"] = {{"month", record.data_month}, {"bytes", record.data_bytes}};
  for (const OrderRecord& order : record.orders)
    json["orders"].push_back(order_json(order, record));
  for (const auto& [id, verdict] : sources.licences)
    json["functions"].push_back(function_json(id, verdict));
  for (const auto& [serial, ecu] : record.ecus) json["ecus"][serial.text()] = ecu_json(ecu);
  for (const auto& [slot, held] : record.slots)
    json["slots"][slot.text()] = slot_json(held, layout);
  return json;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

// What is known of time and bytes, in words.
std::string progress_text(const OrderRecord& order, const Record& record) {
  std::string out;
  if (order.bytes_total() > 0)
    out += fmt::format(", {} of {} bytes", order.bytes_done(), order.bytes_total());
  if (order.state == State::kDownloading && order.bytes_per_second > 0)
    out += fmt::format(", {} s left", bytes_to_go(order) / order.bytes_per_second);
  if (order.timing && order.timing->took_seconds) {
    out += fmt::format(", took {} s", *order.timing->took_seconds);
  } else if (const std::uint64_t seconds = shown_seconds(order, record); seconds > 0) {
    out += fmt::format(", takes about {} s", seconds);
  }
  return out;
}

std::string order_text(const OrderRecord& order, const Record& record) {
  std::string out =
      fmt::format("{} {}: {} since {}", order.id.text(), manifest::to_string(order.action),
                  to_string(order.state), format_utc(order.since));
  if (!order.waiting_for.empty()) out += ", waits for " + joined(order.waiting_for);
  if (order.next_try != 0) out += ", next try " + format_utc(order.next_try);
  out += progress_text(order, record) + "\n";
  for (const ImageProgress& image : order.images) {
    out += fmt::format("  {}", image.name.text());
    if (const manifest::Payload* payload = image.payload())
      out += fmt::format(": {} of {} chunks, {} of {} bytes verified, {}", image.chunks_done,
                         image.chunk_count, image.bytes_done, payload->length,
                         payload->base ? "delta" : "whole image");
    out += "\n";
  }
  if (order.error)
    out += fmt::format("  last error {} ({}): {}\n", static_cast<unsigned>(order.error->code()),
                       to_string(order.error->code()), order.error->message());
  if (order.undo.error)
    out += fmt::format("  cannot be taken back yet: {} ({}): {}\n",
                       static_cast<unsigned>(order.undo.error->code()),
                       to_string(order.undo.error->code()), order.undo.error->message());
  return out;
}

std::string to_text(const Sources& sources, Daemon daemon) {
  const Record& record = sources.record;
  std::string out = fmt::format(
      "{} {} ({}), {}, daemon {}\ntrusted time {}, private mode {}, report {} of {} acknowledged\n",
      sources.identity.vin.text(), sources.identity.ecu.text(), sources.identity.hardware.text(),
      sources.paired ? "paired" : "not paired",
      daemon == Daemon::kRunning ? "running" : "not running", format_utc(sources.trusted_now),
      record.private_mode ? "on" : "off", record.report_acknowledged, record.report_counter);
  if (record.poll_last != 0)
    out += fmt::format("last poll {}, next {}\n", format_utc(record.poll_last),
                       format_utc(record.poll_next));
  if (record.poll_error) out += "last error of the poll: " + record.poll_error->message() + "\n";
  if (sources.link) out += vehicle_line(*sources.link);
  if (record.boot_error)
    out += fmt::format("software is not updated: {} ({}): {}\n",
                       static_cast<unsigned>(record.boot_error->code()),
                       to_string(record.boot_error->code()), record.boot_error->message());
  for (const OrderRecord& order : record.orders) out += order_text(order, record);
  for (const auto& [id, verdict] : sources.licences)
    out += fmt::format("function {}: {}{}{}\n", id.text(), to_string(verdict.state),
                       verdict.until ? " until " + format_utc(*verdict.until) : "",
                       verdict.reason.empty() ? "" : ": " + verdict.reason);
  for (const auto& [serial, ecu] : record.ecus)
    out += fmt::format("ECU {} ({}): {}{}{}{}\n", serial.text(), ecu.hardware.text(),
                       ecu.image.empty() ? "no software known" : ecu.image,
                       ecu.phase.empty() || ecu.phase == "idle" ? "" : ", " + ecu.phase,
                       ecu.error ? ", " + ecu.error->message() : "",
                       ecu.report_error ? ", no report: " + ecu.report_error->message() : "");
  for (const auto& [slot, held] : record.slots)
    out += fmt::format("slot {}: {} {}\n", slot.text(), held.image.text(),
                       to_hex(held.sha256).substr(0, 16));
  return out;
}

}  // namespace

Result<std::string> status(Disk& disk, const Clock& clock, const Layout& layout, Daemon daemon,
                           StatusForm form) {
  const Sources sources = TRY(gather(disk, clock, layout, daemon));
  if (form == StatusForm::kText) return to_text(sources, daemon);
  return TRY(manifest::to_wire(to_json(sources, layout, daemon))) + "\n";
}

Result<std::string> updates(Disk& disk, const Layout& layout, StatusForm form) {
  const Record record = TRY(Journal::read(disk, layout.directory()));
  Json list = Json::array();
  std::string out;
  for (const OrderRecord& order : record.orders) {
    if (order.state == State::kActive || order.state == State::kDeactivated) continue;
    for (const ImageProgress& image : order.images) {
      const std::uint64_t bytes = image.payload() != nullptr ? image.payload()->length : 0;
      const std::uint64_t minutes = (shown_seconds(order, record) + 59) / 60;
      list.push_back({{"order", order.id.text()},
                      {"state", to_string(order.state)},
                      {"image", image.name.text()},
                      {"slot", image.slot.text()},
                      {"version", image.version},
                      {"payloadBytes", bytes},
                      {"imageBytes", image.length},
                      {"minutes", minutes}});
      out += fmt::format("{} {} {}: {}, {} bytes to fetch, about {}\n", order.id.text(),
                         image.slot.text(), image.version, to_string(order.state), bytes,
                         counted(minutes, Unit::kMinute, Language::kEnglish));
    }
  }
  if (form == StatusForm::kJson) return TRY(manifest::to_wire(list)) + "\n";
  return out.empty() ? "nothing is pending\n" : out;
}

}  // namespace layby::agent
