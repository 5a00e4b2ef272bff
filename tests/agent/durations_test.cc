// How long it takes: shown beforehand, measured, reported; and what takes too long (P4.4, P4.6).
#include "agent/durations.h"

#include <catch2/catch.hpp>

#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using manifest::OrderState;

namespace {

manifest::OrderId place_map(World& world, const std::string& version, std::uint64_t counter) {
  const std::string name = "maps/DE/" + version + ".tar";
  const auto& content = counter % 2 == 0 ? world.new_regions : world.old_regions;
  world.server.publish(
      {.name = name, .bytes = content.at("DE"), .base = std::nullopt, .release_counter = counter});
  const auto id = world.server.order({name});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  return id;
}

manifest::OrderId place_function(World& world) {
  world.publish_function();
  const auto id = world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  return id;
}

}  // namespace

TEST_CASE("it starts within seconds of the last condition, and is reported with its times (P4.6)") {
  World world;
  const auto id = place_function(world);
  world.vehicle.signals[std::string(vss::kCable)] = "true";
  world.exit_and_lock();
  world.run(100);
  CHECK(world.state(id) == State::kWaiting);
  world.vehicle.signals[std::string(vss::kCable)] = "false";
  CHECK(world.run_until_state(id, State::kActive, 10));
  const auto timing = world.order(id)->timing;  // a copy: the order is gone from the car later
  REQUIRE(timing.has_value());
  REQUIRE(timing->took_seconds.has_value());
  CHECK(*timing->took_seconds <= 10);
  CHECK(timing->since_lock_seconds >= 100);
  CHECK(timing->since_lock_seconds <= 120);
  CHECK(timing->shown_seconds == 120);
  world.run(60);
  const auto reported = world.server.reported(id);
  REQUIRE(reported.has_value());
  REQUIRE(reported->duration.has_value());
  CHECK(reported->duration->shown == 120);
  CHECK(reported->duration->took == *timing->took_seconds);
  CHECK(reported->duration->since_lock == *timing->since_lock_seconds);
}

TEST_CASE("what this car has measured is shown the next time, if it was longer (P4.4)") {
  World world;
  const auto first = place_map(world, "2", 2);
  CHECK(shown_seconds(*world.order(first), world.agent->record()) == 120);
  CHECK(world.vehicle.shows("2 minutes"));
  // This car needs five minutes to read its maps.
  world.vehicle.at_command = [&](const std::string& command) {
    if (command.starts_with("reload")) world.clock.advance_ms(300'000);
  };
  world.exit_and_lock();
  REQUIRE(world.run_until_state(first, State::kActive, 900));
  CHECK(world.order(first)->timing->took_seconds >= 300u);
  world.server.cancel(first);
  world.vehicle.drive();
  world.run(60);
  world.start();  // it is in the journal
  const auto second = place_map(world, "3", 3);
  CHECK(shown_seconds(*world.order(second), world.agent->record()) >= 300);
  CHECK((world.vehicle.shows("5 minutes") || world.vehicle.shows("6 minutes")));
  // Not for what is of another kind, or of another size.
  Record record = world.agent->record();
  OrderRecord other = *world.order(second);
  other.images[0].length = 3 * other.images[0].length;
  CHECK(shown_seconds(other, record) == 120);
}

TEST_CASE("measurements are bounded, and those of a broken installation do not count") {
  World world;
  const auto id = place_map(world, "2", 2);
  OrderRecord order = *world.order(id);
  Record record = world.agent->record();
  for (std::size_t i = 1; i <= kMeasurementsMax + 3; ++i) {
    note_begin(order, record, kStart, kStart + 10);
    note_end(order, record, kStart + 10 + static_cast<UnixSeconds>(1000 - i), Measure::kWhole);
  }
  CHECK(record.measurements.size() == kMeasurementsMax);
  CHECK(shown_seconds(order, record) == 1000 - 4);  // the three longest were the oldest
  note_begin(order, record, kStart, kStart + 10);
  note_end(order, record, kStart + 10'000, Measure::kInterrupted);
  CHECK(order.timing->took_seconds == 9'990u);
  CHECK(shown_seconds(order, record) == 1000 - 4);
  const Bytes bytes = *encode_record(record);
  CHECK(*encode_record(*decode_record(bytes)) == bytes);
}

TEST_CASE(
    "a function that is not switched within ten minutes goes back, and is tried again (P4.6)") {
  World world;
  const auto id = place_function(world);
  // A control unit that cannot be reached, for as long as it takes.
  world.vehicle.refuses_commands = true;
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActivating, 60));
  const std::int64_t begun = world.clock.now();
  REQUIRE(world.run_until_state(id, State::kRollingBack, 3600));
  CHECK(world.clock.now() - begun <= kFunctionSecondsMax + 10);
  CHECK(world.order(id)->error->code() == ErrorCode::kInstallFailed);
  world.vehicle.refuses_commands = false;
  REQUIRE(world.run_until_state(id, State::kDownloaded, 60));
  CHECK(world.vehicle.functions.empty());
  world.run(60);
  CHECK(world.server.reported(id)->error->code ==
        static_cast<std::uint64_t>(ErrorCode::kInstallFailed));
  world.exit_and_lock();
  CHECK(world.run_until_state(id, State::kActive, 60));
}

TEST_CASE("after a second failure it pauses, also when the car is switched on meanwhile (P4.5)") {
  World world;
  const auto id = place_function(world);
  world.vehicle.fail_activate = 2;
  for (int i = 0; i < 2; ++i) {
    world.exit_and_lock();
    world.run(20);
    CHECK(world.state(id) == State::kDownloaded);
    CHECK(world.order(id)->attempts == static_cast<std::uint32_t>(i + 1));
  }
  world.vehicle.drive();
  world.run(30);
  world.exit_and_lock();
  world.run(60);
  CHECK(world.state(id) == State::kDownloaded);
  CHECK(world.order(id)->next_try > world.clock.now());
  CHECK(world.order(id)->waiting_for == std::vector<std::string>{"retry-pause"});
  CHECK(world.run_until_state(id, State::kActive, 700));  // by itself: it still stands locked
}
