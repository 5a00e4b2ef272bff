#include "manifest/report.h"

#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

const EcuSerial kPrimary = *EcuSerial::parse("HU-1");
const EcuSerial kSecondary = *EcuSerial::parse("CAM-1");

struct World {
  KeyPointer primary_key = new_key();
  KeyPointer secondary_key = new_key();
  Vin vin = *Vin::parse("WVWZZZ1JZXW000017");
  EcuReport primary{.ecu = kPrimary,
                    .counter = 7,
                    .time = kNow,
                    .agent = "layby-agent/0.1.0",
                    .installed = {},
                    .functions = {},
                    .attack = {},
                    .orders = {}};
  EcuReport secondary{.ecu = kSecondary,
                      .counter = 3,
                      .time = kNow,
                      .agent = "x",
                      .installed = {},
                      .functions = {},
                      .attack = {},
                      .orders = {}};
  KnownCar known{vin,
                 kPrimary,
                 {{kPrimary, {PublicKey::from_ed25519(primary_key->public_key()), 6}},
                  {kSecondary, {PublicKey::from_ed25519(secondary_key->public_key()), 2}}},
                 std::nullopt};

  std::map<EcuSerial, Bytes> reports() const {
    return {{kPrimary, must(make_ecu_report(primary, *primary_key))},
            {kSecondary, must(make_ecu_report(secondary, *secondary_key))}};
  }
  Bytes make() const { return must(make_vehicle_manifest(vin, kPrimary, reports(), *primary_key)); }
  Result<VerifiedManifest> verify() const { return verify_vehicle_manifest(make(), known); }
};

TEST_CASE("a vehicle manifest says what the car said") {
  World world;
  const ImageName image = must(ImageName::parse("maps/DE/2.tar"));
  world.primary.installed.emplace(image.slot(),
                                  InstalledImage{image, crypto::sha256(as_bytes("x")), 9, 2});
  world.primary.functions.emplace(*FunctionId::parse("f"),
                                  FunctionReport{4, FunctionState::kExpired, kNow});
  world.primary.attack = "rollback: timestamp";
  world.primary.re_encoders = {{"zstd", "1.5.4"}};
  world.primary.orders.push_back({.id = OrderId::generate(kNow),
                                  .state = OrderState::kRollingBack,
                                  .since = kNow - 5,
                                  .bytes_done = 10,
                                  .bytes_total = 20,
                                  .error = describe_error(Error(ErrorCode::kInstallFailed, "no")),
                                  .conditions = {{"Vehicle.Speed", "0"}}});
  const VerifiedManifest manifest = must(world.verify());
  CHECK(manifest.freshness() == VerifiedManifest::Freshness::kNew);
  CHECK(manifest.ecus().size() == 2);
  const EcuReport& report = manifest.primary();
  CHECK(report.counter == 7);
  CHECK(report.time == kNow);
  CHECK(report.agent == "layby-agent/0.1.0");
  CHECK(report.attack == "rollback: timestamp");
  CHECK(report.re_encoders == ReEncoders{{"zstd", "1.5.4"}});
  CHECK(manifest.ecus().at(kSecondary).re_encoders.empty());
  const InstalledImage& installed = report.installed.at(image.slot());
  CHECK(installed.image == image);
  CHECK(installed.sha256 == crypto::sha256(as_bytes("x")));
  CHECK(installed.length == 9);
  CHECK(installed.release_counter == 2);
  const FunctionReport& function = report.functions.at(*FunctionId::parse("f"));
  CHECK(function.counter == 4);
  CHECK(function.state == FunctionState::kExpired);
  CHECK(function.until == kNow);
  REQUIRE(report.orders.size() == 1);
  CHECK(report.orders[0].id == world.primary.orders[0].id);
  CHECK(report.orders[0].state == OrderState::kRollingBack);
  CHECK(report.orders[0].since == kNow - 5);
  CHECK(report.orders[0].bytes_done == 10);
  CHECK(report.orders[0].bytes_total == 20);
  CHECK(report.orders[0].error->code == 402);
  CHECK(report.orders[0].error->name == "install-failed");
  CHECK(report.orders[0].error->text == "no");
  CHECK(report.orders[0].conditions.at("Vehicle.Speed") == "0");
}

TEST_CASE("a replayed manifest is refused; the very last one again is acknowledged") {
  World world;
  const Bytes first = world.make();
  const VerifiedManifest taken = must(verify_vehicle_manifest(first, world.known));
  world.known.last_manifest = taken.digest();
  for (auto& [serial, ecu] : world.known.ecus) ecu.counter = taken.ecus().at(serial).counter;
  CHECK(must(verify_vehicle_manifest(first, world.known)).freshness() ==
        VerifiedManifest::Freshness::kRepeated);
  world.known.last_manifest = crypto::sha256(as_bytes("a later one"));
  CHECK(code_of(verify_vehicle_manifest(first, world.known)) == ErrorCode::kReplay);
  ++world.primary.counter;  // one ECU's old report in a new manifest
  CHECK(code_of(world.verify()) == ErrorCode::kReplay);
  ++world.secondary.counter;
  CHECK(must(world.verify()).freshness() == VerifiedManifest::Freshness::kNew);
}

TEST_CASE("a manifest of another vehicle is refused") {
  World world;
  world.known.vin = *Vin::parse("WVWZZZ1JZXW000018");
  CHECK(code_of(world.verify()) == ErrorCode::kWrongVehicle);
}

TEST_CASE("ECU impersonation: each report needs its own ECU's key, the whole the primary's") {
  World world;
  ErrorCode expected = ErrorCode::kWrongEcu;
  SECTION("the primary signs for the secondary") {
    world.secondary_key = world.primary_key;
  }
  SECTION("an exchanged part that nobody has let in signs for itself") {
    world.secondary_key = new_key();
  }
  SECTION("an all-zero key is no key") {
    world.known.ecus.at(kSecondary).key = PublicKey::from_ed25519({});
  }
  SECTION("a stranger signs the whole") {
    world.primary_key = new_key();
    expected = ErrorCode::kBadSignature;
  }
  CHECK(code_of(world.verify()) == expected);
}

TEST_CASE("an ECU is believed only about itself") {
  World world;
  world.known.ecus.at(kPrimary).hardware = *HardwareId::parse("hu-4");
  world.known.ecus.at(kSecondary).hardware = *HardwareId::parse("cam-2");
  const auto put = [](EcuReport& report, const char* slot, const char* image) {
    report.installed.emplace(must(Slot::parse(slot)),
                             InstalledImage{must(ImageName::parse(image)), {}, 9, 2});
  };
  put(world.primary, "software", "software/hu-4/1.img");
  put(world.primary, "map.DE", "maps/DE/1.tar");
  put(world.secondary, "software.cam-2", "software/cam-2/1.img");
  CHECK(code_of(world.verify()) == std::nullopt);
  SECTION("the primary of a secondary's software") {
    put(world.primary, "software.cam-2", "software/cam-2/2.img");
  }
  SECTION("a secondary of the primary's software") {
    put(world.secondary, "software", "software/cam-2/2.img");
  }
  SECTION("a secondary of another one's software") {
    put(world.secondary, "software.rad-1", "software/rad-1/2.img");
  }
  SECTION("a secondary of a map") {
    put(world.secondary, "map.FR", "maps/FR/1.tar");
  }
  SECTION("a secondary of a function") {
    world.secondary.functions.emplace(*FunctionId::parse("f"), FunctionReport{});
  }
  SECTION("a secondary of an order") {
    world.secondary.orders.push_back(
        {.id = OrderId::generate(kNow), .error = std::nullopt, .conditions = {}});
  }
  CHECK(code_of(world.verify()) == ErrorCode::kWrongEcu);
}

TEST_CASE("wrong ECUs in a manifest") {
  World world;
  auto reports = world.reports();
  const auto verify = [&] {
    return code_of(verify_vehicle_manifest(
        must(make_vehicle_manifest(world.vin, kPrimary, reports, *world.primary_key)),
        world.known));
  };
  SECTION("partial bundle: one is missing") {
    reports.erase(kSecondary);
  }
  SECTION("one too many") {
    reports.emplace(*EcuSerial::parse("CAM-2"), reports.at(kSecondary));
  }
  SECTION("two swapped, by one who has both keys") {
    world.known.ecus.at(kSecondary).key = world.known.ecus.at(kPrimary).key;
    reports.at(kSecondary) = reports.at(kPrimary);
  }
  SECTION("another primary") {
    world.known.primary = kSecondary;
    world.known.ecus.at(kSecondary).key = world.known.ecus.at(kPrimary).key;
  }
  CHECK(verify() == ErrorCode::kWrongEcu);
}

TEST_CASE("of each ECU there is a report, or the primary's word that there is none") {
  World world;
  auto reports = world.reports();
  reports.erase(kSecondary);
  const auto sign = [&](const Json& silent) {
    Json part = must(
        parse_strict(must(make_vehicle_manifest(world.vin, kPrimary, reports, *world.primary_key)),
                     {.bytes_max = kMiB}))["signed"];
    part["silent"] = silent;
    return verify_vehicle_manifest(must(sign_envelope(part, *world.primary_key)), world.known);
  };
  const VerifiedManifest manifest = must(verify_vehicle_manifest(
      must(make_vehicle_manifest(world.vin, kPrimary, reports, *world.primary_key,
                                 {{kSecondary, "unavailable"}})),
      world.known));
  CHECK(manifest.silent() == SilentEcus{{kSecondary, "unavailable"}});
  CHECK(manifest.ecus().size() == 1);
  CHECK(code_of(sign({{"CAM-1", "unavailable"}})) == std::nullopt);
  CHECK(code_of(sign({{"CAM-1", "a-newer-reason"}})) == std::nullopt);
  CHECK(code_of(sign(Json::object())) == ErrorCode::kWrongEcu);
  CHECK(code_of(sign({{"CAM-2", "unavailable"}})) == ErrorCode::kWrongEcu);
  CHECK(code_of(sign({{"CAM-1", "unavailable"}, {"CAM-2", "unavailable"}})) ==
        ErrorCode::kWrongEcu);
  CHECK(code_of(sign({{"CAM-1", "unavailable"}, {"HU-1", "unavailable"}})) == ErrorCode::kWrongEcu);
  CHECK(code_of(sign({{"CAM-1", "No!"}})) == ErrorCode::kBadFormat);
  CHECK(code_of(sign({{"CAM-1", ""}})) == ErrorCode::kBadFormat);
  CHECK(code_of(sign({{"CAM-1", 1}})) == ErrorCode::kBadFormat);
  CHECK(code_of(sign({"CAM-1"})) == ErrorCode::kBadFormat);
  reports = world.reports();  // it speaks
  CHECK(code_of(sign({{"CAM-1", "unavailable"}})) == ErrorCode::kWrongEcu);
}

TEST_CASE("a primary judges another ECU's report as the server will") {
  World world;
  world.known.ecus.at(kSecondary).hardware = *HardwareId::parse("cam-2");
  Bytes bytes;
  const auto judge = [&] {
    return code_of(verify_secondary_report(bytes, kSecondary, world.known.ecus.at(kSecondary)));
  };
  const auto in_manifest = [&] {
    auto reports = world.reports();
    reports.at(kSecondary) = bytes;
    return code_of(verify_vehicle_manifest(
        must(make_vehicle_manifest(world.vin, kPrimary, reports, *world.primary_key)),
        world.known));
  };
  const auto sign = [&] { bytes = must(make_ecu_report(world.secondary, *world.secondary_key)); };
  sign();
  CHECK(judge() == std::nullopt);
  CHECK(in_manifest() == std::nullopt);
  ErrorCode expected = ErrorCode::kWrongEcu;
  SECTION("another key") {
    world.secondary_key = new_key();
    sign();
  }
  SECTION("another serial") {
    world.secondary.ecu = *EcuSerial::parse("CAM-2");
    sign();
  }
  SECTION("of what is not its own") {
    world.secondary.functions.emplace(*FunctionId::parse("f"), FunctionReport{});
    sign();
  }
  SECTION("a counter that was seen") {
    world.known.ecus.at(kSecondary).counter = world.secondary.counter;
    expected = ErrorCode::kReplay;
  }
  SECTION("changed") {
    bytes = replaced(bytes, "\"counter\":3", "\"counter\":4");
    expected = ErrorCode::kBadSignature;
  }
  SECTION("no report") {
    bytes = must(sign_envelope(Json{{"_type", "licence"}}, *world.secondary_key));
    expected = ErrorCode::kBadFormat;
  }
  CHECK(judge() == expected);
  CHECK(in_manifest() == expected);
}

TEST_CASE("what does not fit into a manifest is no report") {
  World world;
  const auto judge = [&](const Bytes& bytes) {
    return code_of(verify_secondary_report(bytes, kSecondary, world.known.ecus.at(kSecondary)));
  };
  CHECK(judge(to_bytes("x")) == ErrorCode::kBadJson);
  CHECK(judge({}) == ErrorCode::kBadJson);
  CHECK(judge(Bytes(kSecondaryReportBytesMax + 1, ' ')) == ErrorCode::kEndlessData);
  Json report = must(parse_strict(world.reports().at(kSecondary), {.bytes_max = kMiB}))["signed"];
  const auto nested = [&](int depth) {
    Json deep = 1;
    for (int i = 0; i < depth; ++i) deep = Json::array({deep});
    report["new"] = deep;
    return must(sign_envelope(report, *world.secondary_key));
  };
  CHECK(judge(nested(10)) == std::nullopt);
  CHECK(judge(nested(60)) == ErrorCode::kBadJson);
  // The longest that an honest one has to say.
  world.secondary.attack = world.secondary.agent = std::string(512, '"');
  const ImageName image = must(ImageName::parse("software/cam-2/" + std::string(60, '1') + ".img"));
  world.secondary.installed.emplace(image.slot(),
                                    InstalledImage{image, {}, 1ull << 52, 1ull << 52});
  CHECK(judge(must(make_ecu_report(world.secondary, *world.secondary_key))) == std::nullopt);
}

TEST_CASE("a report from too far ahead is none") {
  World world;
  const auto at = [&](UnixSeconds now) { return code_of(check_report_time(world.secondary, now)); };
  CHECK(at(kNow) == std::nullopt);
  CHECK(at(kNow + 10 * kDaySeconds) == std::nullopt);
  CHECK(at(kNow - kReportAheadSecondsMax) == std::nullopt);
  CHECK(at(kNow - kReportAheadSecondsMax - 1) == ErrorCode::kUntrustedTime);
}

TEST_CASE("a changed manifest is refused") {
  const World world;
  const Bytes bytes = world.make();
  CHECK(code_of(verify_vehicle_manifest(replaced(bytes, "\"counter\":7", "\"counter\":8"),
                                        world.known)) == ErrorCode::kBadSignature);
  CHECK(code_of(verify_vehicle_manifest(Bytes(kVehicleManifestBytesMax + 1), world.known)) ==
        ErrorCode::kEndlessData);
  CHECK(code_of(verify_vehicle_manifest(to_bytes("{}"), world.known)) == ErrorCode::kBadFormat);
}

TEST_CASE("a car does not fall silent over a strange text") {
  World world;
  world.primary.attack = "bad \xff\n\"name\" " + std::string(2000, 'x');
  const VerifiedManifest manifest = must(world.verify());
  CHECK(manifest.primary().attack.starts_with("bad ?\?\"name\" xxx"));
  CHECK(manifest.primary().attack.size() == 512);
}

TEST_CASE("signed, but not a report") {
  World world;
  const auto attempt = [&](auto change) {
    Json report = must(parse_strict(world.reports().at(kPrimary), {.bytes_max = kMiB}))["signed"];
    change(report);
    std::map<EcuSerial, Bytes> reports = world.reports();
    reports.at(kPrimary) = must(sign_envelope(report, *world.primary_key));
    return code_of(verify_vehicle_manifest(
        must(make_vehicle_manifest(world.vin, kPrimary, reports, *world.primary_key)),
        world.known));
  };
  CHECK(attempt([](Json&) {}) == std::nullopt);
  CHECK(attempt([](Json& r) { r["_type"] = "licence"; }) == ErrorCode::kBadFormat);
  CHECK(attempt([](Json& r) { r.erase("counter"); }) == ErrorCode::kBadFormat);
  CHECK(attempt([](Json& r) { r["installed"]["../etc"] = Json::object(); }) ==
        ErrorCode::kBadFormat);
  CHECK(attempt([](Json& r) {
          r["orders"] = Json::array({Json{{"id", "x"}}});
        }) == ErrorCode::kBadFormat);
  CHECK(attempt([](Json& r) { r["attack"] = std::string(513, 'x'); }) == ErrorCode::kBadFormat);
  // What it says is shown at terminals; which of two states counts is not for us to guess; and an
  // image is where it belongs.
  CHECK(attempt([](Json& r) { r["attack"] = "\x1b[2J"; }) == ErrorCode::kBadFormat);
  CHECK(attempt([](Json& r) { r["agent"] = "l\u00e4yby"; }) == ErrorCode::kBadFormat);
  Json order{{"id", OrderId::generate(kNow).text()},
             {"state", "active"},
             {"since", "2026-11-22T06:00:00Z"},
             {"bytesDone", 1},
             {"bytesTotal", 1},
             {"conditions", Json{{"Vehicle.Speed", "0"}}}};
  CHECK(attempt([&](Json& r) { r["orders"] = Json::array({order}); }) == std::nullopt);
  CHECK(attempt([&](Json& r) {
          r["orders"] = Json::array({order, order});
          r["orders"][1]["state"] = "failed";
        }) == ErrorCode::kBadFormat);
  order["conditions"] = Json{{"Vehicle\n", "0"}};
  CHECK(attempt([&](Json& r) { r["orders"] = Json::array({order}); }) == ErrorCode::kBadFormat);
  const Json image{{"image", "maps/DE/1.tar"},
                   {"sha256", std::string(64, 'a')},
                   {"length", 1},
                   {"releaseCounter", 1}};
  CHECK(attempt([&](Json& r) { r["installed"]["map.DE"] = image; }) == std::nullopt);
  CHECK(attempt([&](Json& r) { r["installed"]["map.FR"] = image; }) == ErrorCode::kBadFormat);
  CHECK(attempt([](Json& r) { r["reEncoders"] = Json{{"zstd", "1.5.4"}}; }) == std::nullopt);
  CHECK(attempt([](Json& r) {
          r["reEncoders"] = Json{{"zstd", "1.5\n"}};
        }) == ErrorCode::kBadFormat);
  CHECK(attempt([](Json& r) { r["reEncoders"] = Json{{"zstd", 15}}; }) == ErrorCode::kBadFormat);
  CHECK(attempt([](Json& r) {
          for (int i = 0; i < 17; ++i) r["reEncoders"][std::to_string(i)] = "1";
        }) == ErrorCode::kBadFormat);
  // A newer agent may say more.
  CHECK(attempt([](Json& r) { r["new"] = 1; }) == std::nullopt);
}

TEST_CASE("states of an order have names for ever") {
  for (const char* name :
       {"offered", "downloading", "downloaded", "waiting", "installing", "activating", "confirming",
        "rolling-back", "active", "deactivated", "failed", "refused"})
    CHECK(to_string(must(parse_order_state(name))) == name);
  CHECK_FALSE(parse_order_state("done"));
}

}  // namespace
}  // namespace layby::tests
