#include "agent/conditions.h"

#include <catch2/catch.hpp>

#include "agent/journal.h"
#include "agent/policy.h"
#include "agent/requirements.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;
constexpr std::string_view kHood = "Vehicle.Body.Hood.IsOpen";

const manifest::PackageCondition kHoodClosed = {
    std::string(kHood) + " = false",
    {{"en", "Please close the hood."}, {"de", "Bitte Motorhaube schließen."}}};

PackageDemand demand(std::string_view expression) {
  return {*manifest::ConditionExpression::parse(expression), {}};
}

std::optional<Why> ask(std::string_view expression, const Facts& facts) {
  return check(demand(expression), facts, kNow);
}

const ConditionRow& row_of(Condition condition) {
  for (const ConditionRow& row : kConditionTable)
    if (row.condition == condition) return row;
  FAIL("no row");
  return kConditionTable.front();
}

// A world whose maps are ready, with conditions of their own.
manifest::OrderId place(World& world, std::vector<manifest::PackageCondition> conditions,
                        std::uint64_t duration_seconds = 120) {
  world.server.publish({.name = "maps/DE/2.tar",
                        .bytes = world.new_regions["DE"],
                        .base = world.old_regions["DE"],
                        .release_counter = 2,
                        .conditions = std::move(conditions),
                        .duration_seconds = duration_seconds});
  const auto id = world.server.order({"maps/DE/2.tar"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  return id;
}

}  // namespace

TEST_CASE("a battery that wavers below its threshold does not disarm, one that falls does (P4.1)") {
  for (const Condition condition : {Condition::kTractionBattery, Condition::kLowVoltageBattery}) {
    const ConditionRow& row = row_of(condition);
    REQUIRE(row.band > 0);
    const std::int64_t threshold = condition == Condition::kTractionBattery ? 40'000 : 12'000;
    const auto at = [&](std::int64_t thousandths, Latch latch) {
      Facts facts;
      const std::string fraction = std::to_string(1000 + thousandths % 1000).substr(1);
      facts.set(row.signal, {std::to_string(thousandths / 1000) + "." + fraction, kNow});
      return check(row, facts, {.battery_percent_min = 40}, latch, kNow);
    };
    Latch held;
    held.set(condition);
    CHECK(at(threshold, {}) == std::nullopt);
    CHECK(at(threshold - 1, {}) == Why::kNotFulfilled);
    CHECK(at(threshold - 1, held) == std::nullopt);
    CHECK(at(threshold - row.band, held) == std::nullopt);
    CHECK(at(threshold - row.band - 1, held) == Why::kNotFulfilled);
  }
}

TEST_CASE("the latch is set by what holds, and lost with it (P4.1)") {
  World world;
  const auto id = place(world, {});
  world.vehicle.signals[std::string(vss::kCable)] = "true";
  const auto soc = [&](const char* percent) {
    world.vehicle.signals[std::string(vss::kTractionBattery)] = percent;
    world.run(10);
    const auto& waits = world.order(id)->waiting_for;
    return std::find(waits.begin(), waits.end(), "traction-battery") != waits.end();
  };
  world.exit_and_lock();
  CHECK(soc("39.9"));
  CHECK(!soc("40"));
  CHECK(!soc("38.5"));  // armed: not lost yet
  CHECK(soc("37.9"));
  CHECK(soc("39.9"));  // lost: all of it again
  CHECK(!soc("40"));
  world.start();  // not over a restart
  CHECK(soc("39.9"));
  CHECK(world.state(id) == State::kWaiting);
  CHECK(!soc("38") == false);
  world.vehicle.signals[std::string(vss::kCable)] = "false";
  soc("40");
  CHECK(world.state(id) == State::kActive);
}

TEST_CASE("a package's condition reads a signal as the value's type, and doubt counts against it") {
  Facts facts;
  facts.set("Vehicle.A", {"12.6", kNow});
  facts.set("Vehicle.T", {"true", kNow});
  facts.set("Vehicle.W", {"open", kNow});
  CHECK(ask("Vehicle.A = 12.6", facts) == std::nullopt);
  CHECK(ask("Vehicle.A != 12.6", facts) == Why::kNotFulfilled);
  CHECK(ask("Vehicle.A < 12.601 and Vehicle.A > 12.599", facts) == std::nullopt);
  CHECK(ask("Vehicle.A >= 12.601 or Vehicle.A <= 12.599", facts) == Why::kNotFulfilled);
  CHECK(ask("Vehicle.A = '12.6'", facts) == std::nullopt);
  CHECK(ask("Vehicle.T = true and Vehicle.W = 'open'", facts) == std::nullopt);
  CHECK(ask("Vehicle.T = 1", facts) == Why::kImplausible);
  CHECK(ask("Vehicle.A = true", facts) == Why::kImplausible);
  CHECK(ask("Vehicle.Missing = 1", facts) == Why::kMissing);
  CHECK(ask("not Vehicle.Missing = 1", facts) == Why::kMissing);
  CHECK(ask("Vehicle.Missing = 1 or Vehicle.T = true", facts) == std::nullopt);
  facts.set("Vehicle.A", {"12.6", kNow - kSignalAgeMsMax - 1});
  CHECK(ask("Vehicle.A = 12.6", facts) == Why::kStale);
  CHECK(ask("not Vehicle.A = 12.6", facts) == Why::kStale);
  // A signal of the table keeps to its plausible range and its age.
  facts.set(vss::kTractionBattery, {"120", kNow});
  const std::string soc(vss::kTractionBattery);
  CHECK(ask(soc + " > 50", facts) == Why::kImplausible);
  facts.set(vss::kTractionBattery, {"70", kNow - 50'000});
  CHECK(ask(soc + " > 50", facts) == std::nullopt);
}

TEST_CASE(
    "a package's own condition holds it back, is named in the driver's language (P4.1, P4.3)") {
  World world;
  const auto id = place(world, {kHoodClosed});
  world.exit_and_lock();
  world.run(60);
  const std::string name = "package-condition: " + kHoodClosed.expression;
  CHECK(world.state(id) == State::kWaiting);
  CHECK(world.order(id)->waiting_for == std::vector<std::string>{name});  // missing
  CHECK(world.vehicle.shows("Please close the hood."));
  world.vehicle.signals[std::string(kHood)] = "true";
  world.vehicle.signals[std::string(vss::kLanguage)] = "de";
  world.run(60);
  CHECK(world.order(id)->waiting_for == std::vector<std::string>{name});
  CHECK(world.vehicle.shows("Bitte Motorhaube schließen."));
  world.vehicle.signals[std::string(vss::kLanguage)] = "fr";  // the package has none: English
  world.run(10);
  CHECK(world.vehicle.shows("Please close the hood."));
  CHECK(world.live_maps() == "old");
  world.start();  // it is in the journal
  world.run(10);
  CHECK(world.state(id) == State::kWaiting);
  world.vehicle.signals[std::string(kHood)] = "false";
  CHECK(world.run_until_state(id, State::kActive, 10));
  REQUIRE(world.server.reported(id).has_value());
  world.run(60);
  CHECK(world.server.reported(id)->conditions.at(std::string(kHood)) == "false");
}

TEST_CASE("a condition that this agent cannot read refuses its order, and no other") {
  World world;
  world.publish_software();
  const auto other = world.server.order({"software/hu-4/2.0.0.img"});
  world.server.publish({.name = "maps/DE/2.tar",
                        .bytes = world.new_regions["DE"],
                        .base = std::nullopt,
                        .release_counter = 2,
                        .conditions = {{"phase(moon) ~ full", {{"en", "Full moon."}}}}});
  const auto id = world.server.order({"maps/DE/2.tar"});
  REQUIRE(world.run_until_state(other, State::kDownloaded, 600));
  CHECK(world.state(id) == State::kRefused);
  CHECK(world.order(id)->error->code() == ErrorCode::kUnsupported);
  CHECK(world.server.reported(id)->state == manifest::OrderState::kRefused);
  // The journal can be read again.
  REQUIRE(Journal::open(world.disk, kState));
}

TEST_CASE("the energy for a roll-back is asked for beforehand (P4.1)") {
  World world;
  const auto percent = [&](std::uint64_t seconds) {
    World fresh;
    const auto id = place(fresh, {}, seconds);
    return requirements_of(*fresh.order(id), fresh.agent->record());
  };
  CHECK(percent(120).battery_percent_min == 40);  // the package's own
  CHECK(percent(120).low_voltage_millivolts_min == 12'000);
  CHECK(percent(1200).low_voltage_millivolts_min == 12'200);
  CHECK(percent(3 * 3600).battery_percent_min == 40);      // 36 and the band: 38
  CHECK(percent(4 * 3600).battery_percent_min == 48 + 2);  // there and back take eight hours
  CHECK(percent(4 * 3600).low_voltage_millivolts_min == 12'400);
}

TEST_CASE("each line of the head unit says for itself what the car does not report (P4.3)") {
  World world;
  place(world, {});
  for (const std::string_view name : {vss::kGear, vss::kLowVoltageBattery})
    world.vehicle.signals.erase(std::string(name));
  world.vehicle.signals[std::string(vss::kCable)] = "true";
  world.exit_and_lock();
  world.vehicle.signals.erase(std::string(vss::kGear));
  world.run(10);
  const std::string unknown = "The car does not report whether this is fulfilled: ";
  const auto& lines = world.vehicle.screen.updates.at(0).lines;
  const auto shows = [&](const std::string& line) {
    INFO(line);
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  };
  CHECK(shows(unknown + "Please select P."));
  CHECK(shows("Please unplug the charging cable."));
  CHECK(shows(unknown + "The 12 volt battery is too weak. Please drive for a while."));
}
