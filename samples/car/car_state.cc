#include "samples/car/car_state.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>

#include "agent/facts.h"
#include "agent/texts.h"
#include "base/disk.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "manifest/names.h"
#include "manifest/vin.h"

namespace layby::samples {
namespace {

using manifest::Json;
namespace vss = agent::vss;

// Who is signed in; the agent does not look at it (P2.5).
constexpr std::string_view kSignedIn = "Vehicle.Driver.Identifier.Subject";

constexpr std::uint64_t kStateBytesMax = 1 * kMiB;

// A control: what it takes, what it is at first, and the signal that it becomes.
struct Control {
  std::string_view name;
  std::string_view first;
  bool (*takes)(const std::string&);
};

template <typename... Words>
bool is_one_of(const std::string& value, Words... words) {
  return ((value == words) || ...);
}
bool is_switch(const std::string& value) {
  return is_one_of(value, "on", "off", "yes", "no", "1", "0");
}
bool is_number(const std::string& value) {
  double number = 0;
  const char* end = value.data() + value.size();
  return value.size() <= 9 && value.find_first_not_of("0123456789.-") == std::string::npos &&
         std::from_chars(value.data(), end, number).ptr == end && !value.empty();
}

// A map region, or who is signed in.
bool is_name(const std::string& value) {
  return manifest::RegionId::parse(value).has_value();
}

constexpr Control kControls[] = {
    {"gear", "P", [](const std::string& v) { return is_one_of(v, "P", "R", "N", "D"); }},
    {"speed", "0", is_number},
    {"parking_brake", "on", is_switch},
    {"power", "off", [](const std::string& v) { return is_one_of(v, "off", "acc", "on"); }},
    {"driver", "out", [](const std::string& v) { return is_one_of(v, "in", "out"); }},
    {"doors", "closed", [](const std::string& v) { return is_one_of(v, "open", "closed"); }},
    {"locked", "yes", is_switch},
    {"cable", "no", is_switch},
    {"soc", "80", is_number},
    {"battery", "12.6", is_number},
    {"private_mode", "off", is_switch},
    {"roaming", "off", is_switch},
    {"bearer", "wifi",
     [](const std::string& v) {
       return is_one_of(v, "wifi", "sim", "inserted-sim", "hotspot", "none");
     }},
    {"radio", "5G", [](const std::string& v) { return is_one_of(v, "2G", "3G", "4G", "5G"); }},
    {"in_call", "off", is_switch},
    {"region", "none", is_name},
    {"user", "none", is_name},
    {"language", "en", [](const std::string& v) { return !v.empty() && v.size() <= 64; }},
    {"activate_at", "none",
     [](const std::string& v) { return v == "none" || parse_utc(v).has_value(); }},
    {"utc_offset", "none",
     [](const std::string& v) { return v == "none" || (is_number(v) && v.find('.') == v.npos); }},
    {"vin", "none",
     [](const std::string& v) { return v == "none" || manifest::Vin::parse(v).has_value(); }},
    {"slow_seconds", "0",
     [](const std::string& v) { return is_number(v) && v.find_first_of(".-") == v.npos; }},
    {"fail_health", "0", is_switch},
    {"fail_activate", "0", is_switch},
    {"fail_reload", "0", is_switch},
    {"freeze", "off", is_switch},
    {"missing", "none", [](const std::string&) { return true; }},
};

bool is_on(const CarState& car, const std::string& name) {
  return is_one_of(car.controls.at(name), "on", "yes", "1");
}

std::string boolean(bool value) {
  return value ? "true" : "false";
}

std::string or_empty(const std::string& value) {
  return value == "none" ? "" : value;
}

std::string gear_number(const std::string& gear) {
  if (gear == "P") return "126";
  if (gear == "D") return "127";
  return gear == "R" ? "-1" : "0";
}

std::string power_state(const std::string& power) {
  if (power == "on") return "ON";
  return power == "acc" ? "ACC" : "OFF";
}

std::set<std::string> missing(const CarState& car) {
  std::set<std::string> names;
  std::string name;
  for (const char c : car.controls.at("missing") + ",") {
    if (c != ',') {
      name += c;
      continue;
    }
    names.insert(name);
    name.clear();
  }
  return names;
}

void add_doors(const CarState& car, const std::set<std::string>& without,
               std::map<std::string, std::string>& out) {
  for (const char* row : {"Row1", "Row2"})
    for (const char* side : {"DriverSide", "PassengerSide"}) {
      const std::string door = std::string(vss::kDoorPrefix) + row + "." + side;
      if (!without.contains("doors"))
        out[door + ".IsOpen"] = boolean(car.controls.at("doors") == "open");
      if (!without.contains("locked")) out[door + ".IsLocked"] = boolean(is_on(car, "locked"));
    }
}

Result<void> read_software_and_maps(const Json& json, CarState& car) {
  const Json& software = *TRY(manifest::object_field(json, "software"));
  car.software_booted = TRY(manifest::text_field(software, "booted"));
  car.software_confirmed = TRY(manifest::text_field(software, "confirmed"));
  car.software_sha256 = TRY(manifest::text_field(software, "sha256"));
  const Json& maps = *TRY(manifest::object_field(json, "maps"));
  car.map_set = TRY(manifest::text_field(maps, "set"));
  const Json& regions = *TRY(manifest::object_field(maps, "regions"));
  for (auto at = regions.begin(); at != regions.end(); ++at) {
    RegionSeen& seen = car.regions[at.key()];
    seen.tables = TRY(manifest::uint_field(at.value(), "tables"));
    seen.rows = TRY(manifest::uint_field(at.value(), "rows"));
  }
  return {};
}

Result<CarState> decode(const Json& json) {
  CarState car = new_car();
  const Json& controls = *TRY(manifest::object_field(json, "controls"));
  for (auto at = controls.begin(); at != controls.end(); ++at)
    TRY_VOID(set_control(car, at.key(), TRY(manifest::text_field(controls, at.key()))));
  const Json& extra = *TRY(manifest::object_field(json, "extra"));
  for (auto at = extra.begin(); at != extra.end(); ++at)
    TRY_VOID(set_control(car, at.key(), TRY(manifest::text_field(extra, at.key()))));
  for (const Json& function : *TRY(manifest::array_field(json, "functions"))) {
    ActiveFunction& active = car.functions[TRY(manifest::text_field(function, "id"))];
    active.package = TRY(manifest::text_field(function, "package"));
    active.sha256 = TRY(manifest::text_field(function, "sha256"));
    if (manifest::find_field(function, "until") != nullptr)
      active.until = TRY(manifest::text_field(function, "until"));
  }
  TRY_VOID(read_software_and_maps(json, car));
  car.activations = TRY(manifest::uint_field(json, "activations"));
  car.deactivations = TRY(manifest::uint_field(json, "deactivations"));
  car.boots = TRY(manifest::uint_field(json, "boots"));
  car.restarts = TRY(manifest::uint_field(json, "restarts"));
  car.reloads = TRY(manifest::uint_field(json, "reloads"));
  return car;
}

}  // namespace

CarState new_car() {
  CarState car;
  for (const Control& control : kControls)
    car.controls[std::string(control.name)] = std::string(control.first);
  return car;
}

Result<void> set_control(CarState& car, const std::string& name, const std::string& value) {
  if (name == "software") {  // what a boot loader has booted
    car.software_booted = car.software_confirmed = value;
    return {};
  }
  if (name.starts_with("Vehicle.")) {
    car.extra[name] = value;
    if (value == "none") car.extra.erase(name);
    return {};
  }
  for (const Control& control : kControls) {
    if (control.name != name) continue;
    if (!control.takes(value))
      return fail(ErrorCode::kInvalidArgument, "{} does not take the value {}", name, value);
    car.controls[name] = value;
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, "there is no control {}", name);
}

std::map<std::string, std::string> signals(const CarState& car) {
  const std::set<std::string> without = missing(car);
  std::map<std::string, std::string> out;
  const auto add = [&](const std::string& control, std::string_view signal, std::string value) {
    if (!without.contains(control)) out[std::string(signal)] = std::move(value);
  };
  add("gear", vss::kGear, gear_number(car.controls.at("gear")));
  add("speed", vss::kSpeed, car.controls.at("speed"));
  add("parking_brake", vss::kParkingBrake, boolean(is_on(car, "parking_brake")));
  add("power", vss::kPower, power_state(car.controls.at("power")));
  add("driver", vss::kDriver, boolean(car.controls.at("driver") == "in"));
  add("cable", vss::kCable, boolean(is_on(car, "cable")));
  add("soc", vss::kTractionBattery, car.controls.at("soc"));
  add("battery", vss::kLowVoltageBattery, car.controls.at("battery"));
  add("private_mode", vss::kPrivateMode, boolean(is_on(car, "private_mode")));
  add("roaming", vss::kRoaming, boolean(is_on(car, "roaming")));
  add("bearer", vss::kBearer, car.controls.at("bearer"));
  add("radio", vss::kRadioGeneration, car.controls.at("radio"));
  add("in_call", vss::kInCall, boolean(is_on(car, "in_call")));
  add("region", vss::kRegion, or_empty(car.controls.at("region")));
  add("user", kSignedIn, or_empty(car.controls.at("user")));
  add("language", vss::kLanguage, car.controls.at("language"));
  add("activate_at", vss::kActivateAt, or_empty(car.controls.at("activate_at")));
  add("utc_offset", vss::kUtcOffset, or_empty(car.controls.at("utc_offset")));
  add("vin", vss::kVin, or_empty(car.controls.at("vin")));
  add("doors", vss::kDoorCount, "4");
  add_doors(car, without, out);
  for (const auto& [name, value] : car.extra) out[name] = value;
  return out;
}

Result<CarState> load_car(const std::string& path) {
  RealDisk disk;
  const auto bytes = read_file(disk, path, kStateBytesMax);
  if (!bytes && bytes.error().code() == ErrorCode::kNotFound) return new_car();
  if (!bytes) return fail(bytes.error());
  CarState car =
      TRY_CONTEXT(decode(TRY(manifest::parse_strict(*bytes, {.bytes_max = kStateBytesMax}))), path);
  car.software_booted = car.software_confirmed;  // a trial does not survive a reboot
  return car;
}

Result<void> save_car(const std::string& path, const CarState& car) {
  Json json = describe(car);
  json["controls"] = car.controls;
  json["extra"] = car.extra;
  RealDisk disk;
  return replace_file(disk, path, as_bytes(TRY(manifest::to_wire(json))));
}

Json describe(const CarState& car) {
  Json functions = Json::array();
  for (const auto& [id, active] : car.functions) {
    Json function = {{"id", id}, {"package", active.package}, {"sha256", active.sha256}};
    if (!active.until.empty()) function["until"] = active.until;
    functions.push_back(std::move(function));
  }
  Json regions = Json::object();
  for (const auto& [id, seen] : car.regions)
    regions[id] = {{"tables", seen.tables}, {"rows", seen.rows}};
  return {{"signals", signals(car)},
          {"headUnit", {{"language", car.controls.at("language")}, {"lines", car.lines}}},
          {"functions", functions},
          {"software",
           {{"booted", car.software_booted},
            {"confirmed", car.software_confirmed},
            {"trial", car.on_trial()},
            {"sha256", car.software_sha256}}},
          {"maps", {{"set", car.map_set}, {"reader", "navigation"}, {"regions", regions}}},
          {"activations", car.activations},
          {"deactivations", car.deactivations},
          {"boots", car.boots},
          {"restarts", car.restarts},
          {"reloads", car.reloads}};
}

}  // namespace layby::samples
