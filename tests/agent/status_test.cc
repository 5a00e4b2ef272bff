// `status` explains itself: state, since when, waiting for what, next try, last error, bytes done
// of needed, remaining time.
#include "agent/status.h"

#include <catch2/catch.hpp>

#include "agent/vehicle_link.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using manifest::Json;

namespace {

Json order_of(World& world) {
  const auto text =
      status(world.disk, world.clock, Layout(kState), Daemon::kRunning, StatusForm::kJson);
  REQUIRE(text);
  const Json json = manifest::parse_strict(as_bytes(*text), {.bytes_max = kMiB}).value();
  REQUIRE(json["orders"].size() == 1);
  return json["orders"][0];
}

std::string text_of(World& world) {
  return status(world.disk, world.clock, Layout(kState), Daemon::kRunning, StatusForm::kText)
      .value();
}

}  // namespace

TEST_CASE("an order on its way says how far it is, what went wrong and when it goes on") {
  World world;
  world.server.publish({.name = "software/hu-4/2.0.0.img",
                        .bytes = noise(1'500'000, 7),
                        .base = std::nullopt,
                        .release_counter = 2});
  const auto id = world.server.order({"software/hu-4/2.0.0.img"});
  bool has_broken = false;
  world.server.at_payload = [&](const std::string&, const ByteRange& range) {
    world.clock.advance_ms(2'000);
    if (range.offset > 0 && !has_broken) world.server.break_payload_after = 700'000;
    has_broken = has_broken || range.offset > 0;
    world.server.offline = has_broken;  // it would go on at once
  };
  REQUIRE(world.run(60, [&] { return has_broken && !world.order(id)->waiting_for.empty(); }));
  REQUIRE(world.state(id) == State::kDownloading);
  Json order = order_of(world);
  CHECK(order["state"] == "downloading");
  CHECK(order["since"] == format_utc(world.order(id)->since));
  const std::uint64_t done = order["bytesDone"].get<std::uint64_t>();
  const std::uint64_t total = order["bytesTotal"].get<std::uint64_t>();
  CHECK(done > 300'000);
  CHECK(done < total);
  CHECK(order["waitingFor"] == Json::array({"connection"}));
  CHECK(order["nextTry"] == format_utc(world.order(id)->next_try));
  CHECK(order["error"]["code"] == 9);
  CHECK(order["error"]["name"] == "unavailable");
  CHECK(order["error"]["text"].get<std::string>().size() > 5);
  CHECK(order["durationSeconds"] == 120);
  REQUIRE(world.order(id)->bytes_per_second > 0);  // measured
  CHECK(order["remainingSeconds"] == (total - done) / world.order(id)->bytes_per_second);
  const std::string text = text_of(world);
  for (const char* part : {"downloading since", "waits for connection", "next try", " bytes, ",
                           " s left", "takes about 120 s", "last error 9 (unavailable)"})
    CHECK(text.find(part) != std::string::npos);
}

TEST_CASE("an order that waits says for what, one that failed when it is tried again (P4.5)") {
  World world;
  world.publish_function();
  const auto id = world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(10);
  CHECK(order_of(world)["waitingFor"][0] == "exit-and-lock");
  world.vehicle.signals[std::string(vss::kCable)] = "true";
  world.exit_and_lock();
  world.run(10);
  Json order = order_of(world);
  CHECK(order["state"] == "waiting");
  CHECK(order["waitingFor"] == Json::array({"charging-cable"}));
  world.vehicle.signals[std::string(vss::kCable)] = "false";
  world.vehicle.fail_activate = 2;
  world.run(20);
  world.exit_and_lock();
  world.run(20);
  order = order_of(world);
  CHECK(order["state"] == "downloaded");
  CHECK(order["attempts"] == 2);
  CHECK(order["error"]["name"] == "activation-failed");
  CHECK(order["nextTry"] == format_utc(world.order(id)->next_try));
  CHECK(order["waitingFor"][0] == "retry-pause");
  world.run(700);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 60));
  order = order_of(world);
  CHECK(order.contains("tookSeconds"));
  CHECK(order.contains("sinceLockSeconds"));
  CHECK_FALSE(order.contains("error"));
}

TEST_CASE("whether the car is reached is said while a daemon runs") {
  World world;
  world.run(5);
  const Layout layout(kState);
  const auto json_of = [&](Daemon daemon) {
    const auto text = status(world.disk, world.clock, layout, daemon, StatusForm::kJson);
    return manifest::parse_strict(as_bytes(*text), {.bytes_max = kMiB}).value();
  };
  CHECK(!json_of(Daemon::kRunning).contains("vehicle"));
  const UnixSeconds next_try = world.clock.now() + 30;
  VehicleLink link{.error = "/run/car: \xE9 refused", .since = kStart, .next_try = next_try};
  REQUIRE(write_vehicle_link(world.disk, layout, link));
  Json vehicle = json_of(Daemon::kRunning)["vehicle"];
  CHECK(vehicle["connected"] == false);
  CHECK(vehicle["error"] == "/run/car: ? refused");
  CHECK(vehicle["since"] == format_utc(kStart));
  CHECK(vehicle["nextTry"] == format_utc(next_try));
  CHECK(text_of(world).find("car: not reached since " + format_utc(kStart) + ", next try " +
                            format_utc(next_try) + ": /run/car") != std::string::npos);
  CHECK(!json_of(Daemon::kNotRunning).contains("vehicle"));
  world.clock.advance_ms(31'000);  // and tried again
  CHECK(!json_of(Daemon::kRunning)["vehicle"].contains("nextTry"));
  CHECK(text_of(world).find("car: not reached since " + format_utc(kStart) + ": /run/car") !=
        std::string::npos);
  link.is_connected = true;
  link.next_try = 0;
  REQUIRE(write_vehicle_link(world.disk, layout, link));
  vehicle = json_of(Daemon::kRunning)["vehicle"];
  CHECK(vehicle["connected"] == true);
  CHECK(!vehicle.contains("nextTry"));
  CHECK(text_of(world).find("car: reached since") != std::string::npos);
}
