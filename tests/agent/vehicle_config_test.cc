// What the daemon is told of the car, and what of it makes no sense.
#include "agent/vehicle_config.h"

#include <catch2/catch.hpp>

#include "base/disk.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

void write_text(const std::string& path, const std::string& text) {
  RealDisk disk;
  REQUIRE(replace_file(disk, path, as_bytes(text)));
}

}  // namespace

TEST_CASE("a configuration that makes no sense is refused with its key") {
  const TempDir dir;
  RealDisk disk;
  const auto refusal = [&](const std::string& text) {
    write_text(dir / "bad.toml", text);
    const auto config = read_vehicle_config(disk, dir / "bad.toml");
    REQUIRE(!config.has_value());
    CHECK(config.error().code() == ErrorCode::kInvalidArgument);
    return config.error().message();
  };
  const std::string viss = "[viss]\nurl = \"unix:/run/car\"\n";
  CHECK(refusal("").find("[viss]") != std::string::npos);
  CHECK(refusal("x = 1").find("x is not known") != std::string::npos);
  CHECK(refusal("[viss").find("bad.toml:1") != std::string::npos);
  CHECK(refusal("[viss]\nurl = \"ws://vehicle.example:443\"").find("wss://") != std::string::npos);
  CHECK(refusal("[viss]\nurl = \"ws://127.0.0.1.example\"").find("wss://") != std::string::npos);
  CHECK(refusal(viss + "colour = \"red\"").find("viss.colour") != std::string::npos);
  CHECK(refusal(viss + "key = \"k\"").find("go together") != std::string::npos);
  CHECK(refusal(viss + "ca = \"/ca.pem\"").find("wss://") != std::string::npos);
  CHECK(refusal(viss + "command_seconds_max = 600").find("command_seconds_max") !=
        std::string::npos);
  for (const char* path : {"Vehicle", "Vehicle.*", "Vehicle..A", ".A", "Vehicle.A b"})
    CHECK(refusal(viss + "[signals]\n\"Vehicle.Speed\" = { path = \"" + path + "\" }")
              .find("a path like") != std::string::npos);
  write_text(dir / "token", "abc\xff");
  const std::string token = "token_file = \"" + (dir / "token") + "\"\n";
  CHECK(refusal(viss + token).find("token_file") != std::string::npos);
  write_text(dir / "token", "abc\n");
  CHECK(refusal("[viss]\nurl = \"ws://127.0.0.1:1\"\n" + token).find("wss://") !=
        std::string::npos);
  CHECK(refusal(viss + "period_ms = 60000").find("period_ms") != std::string::npos);
  CHECK(refusal(viss + "[signals]\n\"Vehicle.No\" = {}").find("Vehicle.No") != std::string::npos);
  CHECK(refusal(viss + "[signals]\n\"Vehicle.Speed\" = { unit = \"furlong\" }").find("furlong") !=
        std::string::npos);
  CHECK(refusal(viss + "[signals]\n\"Vehicle.Speed\" = { age_seconds = 14 }").find("age_seconds") !=
        std::string::npos);
  CHECK(refusal(viss + "[signals]\n\"Vehicle.Speed\" = { age_seconds = 86401 }")
            .find("age_seconds") != std::string::npos);
  for (const std::string name :
       {"Row1.DriverSide.IsOpened", "Row1.DriverSide.Window.IsOpen", "IsLocked"})
    CHECK(refusal(viss + "[signals]\n\"Vehicle.Cabin.Door." + name + "\" = {}").find(name) !=
          std::string::npos);
  CHECK(refusal(viss + "[hooks]\nactivate = \"relative\"").find("absolute") != std::string::npos);
  for (const std::string& no_program : {dir.path(), dir / "token"})
    CHECK(refusal(viss + "[hooks]\ncheck = \"" + no_program + "\"").find("no program") !=
          std::string::npos);
  CHECK(refusal(viss + "[hooks]\ndance = \"/bin/true\"").find("hooks.dance") != std::string::npos);
}

TEST_CASE("an address that nobody can connect to is refused at the start") {
  const auto refusal = [](const std::string& address) {
    const auto config = vehicle_at(address);
    REQUIRE(!config.has_value());
    CHECK(config.error().code() == ErrorCode::kInvalidArgument);
    return config.error().message();
  };
  CHECK(refusal("unix:").find("the path of a socket") != std::string::npos);
  CHECK(refusal("unix:run/car").find("begins with /") != std::string::npos);
  CHECK(refusal("unix:/" + std::string(107, 'a')).find("107") != std::string::npos);
  CHECK(vehicle_at("unix:/" + std::string(106, 'a')));
  for (const char* bad :
       {"wss://a b", "ws://127.0.0.1:99@evil", "wss://", "wss://:443", "wss://a:", "wss://a:0",
        "wss://a:65536", "wss://a:4x", "wss://a:1:2", "wss://[::1", "wss://[]", "wss://[::1]x",
        "wss://a/b c", "wss://a/#b", "wss://a\tb", "wss://\xc3\xa4", "ws://127.0.0.1:99?x"})
    CHECK(refusal(bad).find("HOST:PORT") != std::string::npos);
  for (const char* good :
       {"wss://gateway.local", "wss://gateway.local:443/viss?x=1", "wss://[::1]:1",
        "ws://127.0.0.1:8090/", "ws://[::1]", "ws://localhost:65535"})
    CHECK(vehicle_at(good));
}

TEST_CASE("a file or program that is not there is named at the start") {
  const TempDir dir;
  RealDisk disk;
  const std::string keys[] = {"ca", "certificate", "key"};
  for (const std::string& key : keys) write_text(dir / key, "PEM");
  for (const std::string& missing : keys) {
    std::string text = "[viss]\nurl = \"wss://gateway.local\"\n";
    for (const std::string& key : keys)
      text += key + " = \"" + (dir / (key == missing ? "no-" + key : key)) + "\"\n";
    write_text(dir / "vehicle.toml", text);
    const auto config = read_vehicle_config(disk, dir / "vehicle.toml");
    REQUIRE(!config);
    CHECK(config.error().code() == ErrorCode::kNotFound);
    CHECK(config.error().message().find("viss." + missing) != std::string::npos);
    CHECK(config.error().message().find(dir / ("no-" + missing)) != std::string::npos);
  }
  write_text(dir / "vehicle.toml",
             "[viss]\nurl = \"unix:/run/car\"\n[hooks]\ncheck = \"/no/program\"\n");
  const auto no_program = read_vehicle_config(disk, dir / "vehicle.toml");
  REQUIRE(!no_program);
  CHECK(no_program.error().code() == ErrorCode::kNotFound);
  CHECK(no_program.error().message().find("hooks.check: /no/program") != std::string::npos);
  write_text(dir / "vehicle.toml",
             "[viss]\nurl = \"unix:/run/car\"\ntoken_file = \"" + (dir / "token") + "\"\n");
  const auto none = read_vehicle_config(disk, dir / "vehicle.toml");
  REQUIRE(!none);
  CHECK(none.error().message().find("viss.token_file") != std::string::npos);
  // The file is what is read at each connection, and not what it said at the start.
  write_text(dir / "token", "first\n");
  const auto config = read_vehicle_config(disk, dir / "vehicle.toml");
  REQUIRE(config);
  CHECK(config->viss.token().value() == "first");
  write_text(dir / "token", "second\n");
  CHECK(config->viss.token().value() == "second");
}
