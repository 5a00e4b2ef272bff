#include "samples/car/car_commands.h"

#include <sqlite3.h>

#include <algorithm>
#include <memory>

#include "base/disk.h"
#include "crypto/digest.h"
#include "manifest/json_value.h"

namespace layby::samples {
namespace {

using manifest::Json;

// What the health check demands of a head unit's software: an executable for this machine family.
constexpr std::string_view kExecutableMagic =
    "\x7f"
    "ELF";

bool is_faulty(const CarState& car, const std::string& fault) {
  const std::string& value = car.controls.at(fault);
  return value == "1" || value == "on" || value == "yes";
}

Result<std::string> digest_of(const std::string& path) {
  RealDisk disk;
  const auto file = TRY(disk.open_read(path));
  return to_hex(TRY(crypto::hash_all(*file, crypto::Hasher::With::kSha256)).sha256);
}

Result<void> activate(const Json& request, CarState& car) {
  if (is_faulty(car, "fail_activate"))
    return fail(ErrorCode::kActivationFailed, "the control unit does not answer");
  const std::string id = TRY(manifest::text_field(request, "function"));
  const std::string package = TRY(manifest::text_field(request, "package"));
  ActiveFunction active;
  active.package = package;
  active.sha256 = TRY(digest_of(package));
  active.until = TRY(manifest::text_field(request, "until"));
  const auto known = car.functions.find(id);
  // A term that was renewed is no activation.
  if (known == car.functions.end() || known->second.sha256 != active.sha256) ++car.activations;
  car.functions[id] = std::move(active);
  return {};
}

Result<void> deactivate(const Json& request, CarState& car) {
  // What is not on is off already: no control unit is asked.
  if (!car.functions.contains(TRY(manifest::text_field(request, "function")))) return {};
  if (is_faulty(car, "fail_activate"))
    return fail(ErrorCode::kActivationFailed, "the control unit does not answer");
  car.functions.erase(TRY(manifest::text_field(request, "function")));
  ++car.deactivations;
  return {};
}

Result<void> boot(const Json& request, CarState& car) {
  const std::string step = TRY(manifest::text_field(request, "step"));
  const std::string slot = TRY(manifest::text_field(request, "slot"));
  if (step == "keep") {
    if (car.software_booted != slot)
      return fail(ErrorCode::kConflict, "{} runs and not {}", car.software_booted, slot);
    car.software_confirmed = slot;
    return {};
  }
  if (step != "trial" && step != "revert")
    return fail(ErrorCode::kInvalidArgument, "unknown step {}", step);
  car.software_sha256 = TRY(digest_of(slot));
  car.software_booted = slot;
  if (step == "revert") car.software_confirmed = slot;
  ++car.boots;
  return {};
}

Result<void> check(const Json& request, CarState& car) {
  const std::string slot = TRY(manifest::text_field(request, "slot"));
  if (car.software_booted != slot)
    return fail(ErrorCode::kHealthCheckFailed, "{} runs and not {}", car.software_booted, slot);
  if (is_faulty(car, "fail_health"))
    return fail(ErrorCode::kHealthCheckFailed, "the head unit reports a fault after the boot");
  RealDisk disk;
  const auto file = TRY(disk.open_read(slot));
  Bytes first(kExecutableMagic.size());
  if (!file->read_at(0, first) || as_text(first) != kExecutableMagic)
    return fail(ErrorCode::kHealthCheckFailed, "{} is no executable", slot);
  return {};
}

// ---- maps ---------------------------------------------------------------------------------------

using Database = std::unique_ptr<sqlite3, decltype(&sqlite3_close)>;

Result<std::vector<std::string>> query(sqlite3* database, const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database, sql.c_str(), -1, &raw, nullptr) != SQLITE_OK)
    return fail(ErrorCode::kCorrupt, "{}: {}", sql, sqlite3_errmsg(database));
  const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement(raw, sqlite3_finalize);
  std::vector<std::string> rows;
  for (;;) {
    const int result = sqlite3_step(raw);
    if (result == SQLITE_DONE) return rows;
    if (result != SQLITE_ROW)
      return fail(ErrorCode::kCorrupt, "{}: {}", sql, sqlite3_errmsg(database));
    const unsigned char* text = sqlite3_column_text(raw, 0);
    rows.emplace_back(text == nullptr ? "" : reinterpret_cast<const char*>(text));
  }
}

Result<RegionSeen> open_database(const std::string& path) {
  sqlite3* raw = nullptr;
  const std::string uri = "file:" + path + "?immutable=1";
  const int opened =
      sqlite3_open_v2(uri.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
  const Database database(raw, sqlite3_close);
  if (opened != SQLITE_OK)
    return fail(ErrorCode::kCorrupt, "{}: {}", path, sqlite3_errmsg(database.get()));
  RegionSeen seen;
  // Virtual tables and their shadows are counted as tables; rows are those of ordinary ones.
  const auto tables = TRY_CONTEXT(
      query(raw, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"), path);
  seen.tables = tables.size();
  for (const std::string& table : tables) {
    const auto count = TRY_CONTEXT(query(raw, "SELECT count(*) FROM \"" + table + "\""), path);
    seen.rows = std::max<std::uint64_t>(seen.rows, std::stoull(count.at(0)));
  }
  return seen;
}

bool is_database(const std::string& name) {
  return name.ends_with(".sqlite") || name.ends_with(".sqlite3") || name.ends_with(".db");
}

Result<void> reload(const Json& request, CarState& car) {
  if (is_faulty(car, "fail_reload"))
    return fail(ErrorCode::kActivationFailed, "the navigation does not come up");
  const std::string set = TRY(manifest::text_field(request, "set"));
  RealDisk disk;
  std::map<std::string, RegionSeen> regions;
  for (const std::string& region : TRY(disk.list(set))) {
    const std::string directory = set + "/" + region;
    RegionSeen& seen = regions[region];
    for (const std::string& name : TRY(disk.list(directory))) {
      if (!is_database(name)) continue;
      const RegionSeen found = TRY(open_database(directory + "/" + name));
      seen.tables += found.tables;
      seen.rows += found.rows;
    }
    if (seen.tables == 0)
      return fail(ErrorCode::kCorrupt, "region {} has no database with tables", region);
  }
  car.map_set = set;
  car.regions = std::move(regions);
  ++car.reloads;
  return {};
}

// ---- the head unit ------------------------------------------------------------------------------

constexpr std::size_t kScreenBytesMax = 512 * 1024, kControlsBytesMax = 64 * 1024;

Result<std::vector<std::string>> texts_field(const Json& object, std::string_view key) {
  std::vector<std::string> texts;
  for (const Json& text : *TRY(manifest::array_field(object, key))) {
    if (!text.is_string()) return fail(ErrorCode::kBadFormat, "{}: not a text in it", key);
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

Result<void> check_update(const Json& update) {
  for (const std::string_view key : {"order", "title", "state"})
    TRY_VOID(manifest::text_field(update, key).map([](const auto&) {}));
  for (const std::string_view key : {"duration", "notes"})
    if (manifest::find_field(update, key) != nullptr)
      TRY_VOID(manifest::text_field(update, key).map([](const auto&) {}));
  if (manifest::find_field(update, "code") != nullptr)
    TRY_VOID(manifest::uint_field(update, "code").map([](auto) {}));
  if (manifest::find_field(update, "percent") != nullptr)
    TRY_VOID(manifest::uint_field(update, "percent", 100).map([](auto) {}));
  return texts_field(update, "lines").map([](const auto&) {});
}

}  // namespace

Result<void> turn_controls(const std::string& body, CarState& car) {
  CarState changed = car;
  const Json values = TRY(manifest::parse_strict(as_bytes(body), {.bytes_max = kControlsBytesMax}));
  if (!values.is_object())
    return fail(ErrorCode::kBadFormat, "an object of controls is wanted: {{\"gear\":\"P\"}}");
  for (auto at = values.begin(); at != values.end(); ++at)
    TRY_VOID(set_control(changed, at.key(), TRY(manifest::text_field(values, at.key()))));
  car = std::move(changed);
  return {};
}

Result<void> show_screen(const std::string& text, CarState& car) {
  const Json screen = TRY(manifest::parse_strict(as_bytes(text), {.bytes_max = kScreenBytesMax}));
  for (const Json& update : *TRY(manifest::array_field(screen, "updates")))
    TRY_VOID(check_update(update));
  if (manifest::find_field(screen, "functions") != nullptr)
    TRY_VOID(texts_field(screen, "functions").map([](const auto&) {}));
  car.lines = TRY(texts_field(screen, "lines"));
  car.screen = text;
  return {};
}

Result<void> carry_out(const Json& request, CarState& car) {
  const std::string what = TRY(manifest::text_field(request, "do"));
  if (what == "activate") return activate(request, car);
  if (what == "deactivate") return deactivate(request, car);
  if (what == "boot") return boot(request, car);
  if (what == "check") return check(request, car);
  if (what == "reload") return reload(request, car);
  if (what == "restart") {  // whoever watches the car ends the agent and boots it again
    ++car.restarts;
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, "the car does not know how to {}", what);
}

}  // namespace layby::samples
