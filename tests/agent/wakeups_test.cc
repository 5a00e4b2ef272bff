// How often the agent asks to be called while there is nothing to do, and what it holds of memory.
#include <catch2/catch.hpp>

#include <limits>

#include "agent/journal.h"
#include "agent/resident.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

// Calls that the agent asks for in so many hours in which the car says nothing.
int calls_in_hours(World& world, int hours) {
  world.vehicle.frozen = true;
  world.run(300);  // what is under way ends, and what the car said grows old
  const std::int64_t end_ms = world.clock.monotonic_ms() + hours * 3'600'000;
  int calls = 0;
  while (world.clock.monotonic_ms() < end_ms) {
    const auto next = world.agent->step();
    REQUIRE(next.has_value());
    world.clock.advance_ms(next->wait_ms);
    ++calls;
  }
  return calls;
}

// Every ten minutes, and for each poll (900 s) a handful.
constexpr int kCallsAnHourMax = 6 + 4 * 5 + 4;

std::uint64_t resident_file_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  REQUIRE(file != nullptr);
  unsigned long size = 0, resident = 0, shared = 0;
  const int read = std::fscanf(file, "%lu %lu %lu", &size, &resident, &shared);
  std::fclose(file);
  REQUIRE(read == 3);
  return shared * 4096;
}

}  // namespace

TEST_CASE("a car that says nothing and has nothing ordered sleeps from poll to poll") {
  World world;
  world.run(60);
  CHECK(calls_in_hours(world, 24) <= 24 * kCallsAnHourMax);
}

TEST_CASE("an order that waits for Wi-Fi asks for nothing meanwhile (P2.3)") {
  World world;
  world.vehicle.signals[std::string(vss::kBearer)] = "sim";
  world.publish_maps();
  const auto id = world.server.order({"maps/DE/2.tar"});
  world.run(60);
  REQUIRE(world.order(id)->waiting_for == std::vector<std::string>{"wifi"});
  CHECK(calls_in_hours(world, 20) <= 20 * kCallsAnHourMax);
  CHECK(world.state(id) == State::kOffered);
}

TEST_CASE("a downloaded order whose car says nothing any more asks for nothing") {
  World world;
  world.vehicle.drive();
  const auto id = order_maps(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  CHECK(calls_in_hours(world, 24) <= 24 * kCallsAnHourMax);
}

TEST_CASE("the end of a term is no later for a long sleep (P1.9)") {
  World world;
  world.server.licence_until = kStart + 7 * 3600 + 123;
  const auto id = order_function(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 600));
  world.server.offline = true;
  std::optional<UnixSeconds> off_at;
  world.vehicle.at_command = [&](const std::string& what) {
    if (what.starts_with("deactivate") && !off_at) off_at = world.agent->trusted_now();
  };
  world.run(8 * 3600, [&] { return off_at.has_value(); });
  REQUIRE(off_at);
  CHECK(*off_at >= kStart + 7 * 3600 + 123);
  CHECK(*off_at <= kStart + 7 * 3600 + 125);
}

TEST_CASE("what the car says during a step is looked at at once (P2.3, P2.4)") {
  World world;
  world.vehicle.signals[std::string(vss::kBearer)] = "sim";
  world.publish_maps();
  const auto id = world.server.order({"maps/DE/2.tar"});
  world.run(60);
  REQUIRE(world.order(id)->waiting_for == std::vector<std::string>{"wifi"});
  int shown = 0;
  world.vehicle.at_show = [&] {
    ++shown;
    world.vehicle.signals[std::string(vss::kBearer)] = "wifi";
  };
  world.vehicle.signals[std::string(vss::kLanguage)] = "de";  // one line changes
  const auto next = world.agent->step();
  REQUIRE(next.has_value());
  REQUIRE(shown == 1);
  CHECK(next->wait_ms == 0);
  CHECK(!next->idle);
  CHECK(world.run_until_state(id, State::kDownloaded, 1));
}

TEST_CASE(
    "a term that could not be switched off is tried again after its pause, not later (P1.9)") {
  World world;
  world.server.licence_until = kStart + 7 * 3600;
  const auto id = order_function(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 600));
  world.server.offline = true;
  world.vehicle.dead_function = "adaptive-cruise";
  REQUIRE(world.run(8 * 3600, [&] { return world.agent->trusted_now() > kStart + 7 * 3600; }));
  world.run(1);
  world.vehicle.log.clear();
  for (const std::int64_t end = world.clock.now() + 600; world.clock.now() < end;) {
    const auto next = world.agent->step();
    REQUIRE(next.has_value());
    // A message of the car in between: it is looked at, and changes nothing.
    world.clock.advance_ms(std::min<std::int64_t>(next->wait_ms, 100'000));
    REQUIRE(world.agent->step());
  }
  CHECK(world.vehicle.log.size() >= 15);
}

TEST_CASE("a signal from the future keeps nobody awake") {
  World world;
  const auto id = order_maps(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  world.run(60);
  world.vehicle.ahead_ms =
      GENERATE(std::int64_t{20} * 365 * 86'400'000, std::numeric_limits<std::int64_t>::max() / 2);
  world.vehicle.facts();  // so they are stamped, and stay so
  CHECK(calls_in_hours(world, 10) <= 10 * kCallsAnHourMax);
}

TEST_CASE("a time stamp that no clock has is a wrong one") {
  Facts facts;
  facts.set("Far", {"1", std::numeric_limits<std::int64_t>::max()});
  facts.set("Long", {"1", std::numeric_limits<std::int64_t>::min()});
  CHECK(std::get<Doubt>(facts.text("Far", kStart * 1000)) == Doubt::kImplausible);
  CHECK(std::get<Doubt>(facts.text("Long", kStart * 1000)) == Doubt::kStale);
}

TEST_CASE("a bearer that wavers does not wear out the journal") {
  World world;
  world.run(60);
  int writes = 0;
  world.disk.observer = [&](const std::string& path) {
    writes += path.find("/journal.") != std::string::npos;
  };
  for (int i = 0; i < 3600; ++i) {
    world.vehicle.signals[std::string(vss::kBearer)] = i % 2 == 0 ? "wifi" : "hotspot";
    REQUIRE(world.agent->step());
    world.clock.advance_ms(1000);
  }
  world.disk.observer = {};
  // Ten at once, then one a minute, each a write, a sync and the copy's four; and the polls.
  CHECK(writes < 6 * (10 + 60 + 15));
  world.run(120);
  CHECK(Journal::read(world.disk, kState).value().bearer ==
        world.vehicle.signals[std::string(vss::kBearer)]);
}

TEST_CASE("code that is given back comes back when it is needed") {
  World world;
  world.run(60);
  const std::uint64_t before = resident_file_bytes();
  give_back_code(1ull << 40);
  CHECK(resident_file_bytes() >= before / 2);  // below the bound nothing is given back
  give_back_code(0);
  CHECK(resident_file_bytes() < before);
  const auto id = order_maps(world);
  CHECK(world.run_until_state(id, State::kDownloaded, 3600));
}
