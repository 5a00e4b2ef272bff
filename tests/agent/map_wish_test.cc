// The car asks by itself for the regions that matter to it (P3.2).
#include "agent/map_wish.h"

#include <catch2/catch.hpp>

#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

manifest::RegionId region(const std::string& name) {
  return manifest::RegionId::parse(name).value();
}

void be_in(World& world, const std::string& name) {
  world.vehicle.signals[std::string(vss::kRegion)] = name;
}

void ask_by_itself(World& world) {
  world.options.maps = {.choice = MapPolicy::Choice::kAuto, .home = region("DE")};
}

std::vector<std::string> visited(World& world) {
  std::vector<std::string> names;
  for (const auto& [name, at] : world.agent->record().visits) names.push_back(name.text());
  return names;
}

}  // namespace

TEST_CASE("off by default: nothing is asked, nothing is noted (P3.2)") {
  World world;
  be_in(world, "FR");
  world.run_days(3);
  CHECK(world.server.map_wishes.empty());
  CHECK(visited(world).empty());
}

TEST_CASE("home and where it was lately, and it says what it found (P3.2)") {
  World world;
  ask_by_itself(world);
  world.publish_maps();
  world.server.newest_maps = {{"DE", "maps/DE/2.tar"}, {"FR", "maps/FR/2.tar"}};
  be_in(world, "FR");
  world.run(60);
  REQUIRE(world.server.map_wishes.size() == 1);
  CHECK(world.server.map_wishes[0] == std::vector<std::string>{"DE", "FR", "NL"});
  REQUIRE(world.agent->record().orders.size() == 1);
  const auto id = world.agent->record().orders[0].id;
  CHECK(world.agent->record().map_found == id.text());
  world.run(5);
  // While it is under way nothing is asked, wherever the car goes.
  be_in(world, "NL");
  world.run_days(3);
  CHECK(world.server.map_wishes.size() == 1);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 600));
  be_in(world, "AT");
  world.run(600);
  REQUIRE(world.server.map_wishes.size() == 2);
  CHECK(world.server.map_wishes[1] == std::vector<std::string>{"DE", "AT", "NL", "FR"});
}

TEST_CASE("what the car found by itself is announced as such (P3.2)") {
  World world;
  ask_by_itself(world);
  world.publish_maps();
  world.server.newest_maps = {{"DE", "maps/DE/2.tar"}};
  world.vehicle.signals[std::string(vss::kBearer)] = "sim";  // it waits for Wi-Fi, and can be seen
  world.run(60);
  CHECK(world.vehicle.shows("Your car has found newer maps: DE 2"));
  world.vehicle.signals[std::string(vss::kLanguage)] = "it";
  world.run(60);
  CHECK(world.vehicle.shows("La sua vettura ha trovato mappe più recenti: DE 2"));
}

TEST_CASE("where it only announces, the owner orders (P3.2)") {
  World world;
  ask_by_itself(world);
  world.options.maps.choice = MapPolicy::Choice::kAnnounce;
  world.publish_maps();
  world.server.newest_maps = {{"DE", "maps/DE/2.tar"}, {"FR", "maps/FR/2.tar"}};
  be_in(world, "FR");
  world.run(60);
  CHECK(world.agent->record().orders.empty());
  CHECK(world.vehicle.shows("Newer maps are there and can be ordered: DE, FR"));
  world.start();
  world.vehicle.signals[std::string(vss::kLanguage)] = "de";
  world.run(60);
  CHECK(world.vehicle.shows("können bestellt werden: DE, FR"));
  const auto id = world.server.order({"maps/DE/2.tar"});
  world.run(2 * 3600);
  CHECK(!world.vehicle.shows("können bestellt werden"));
  world.server.newest_maps.clear();
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 600));
  world.run_days(2);
  CHECK(!world.vehicle.shows("können bestellt werden"));
}

TEST_CASE("what is installed is asked for too, after home and where it was (P3.2)") {
  World world;
  world.publish_maps();
  const auto id = world.server.order({"maps/DE/2.tar", "maps/FR/2.tar"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 600));
  world.options.maps = {.choice = MapPolicy::Choice::kAuto, .home = region("NL")};
  be_in(world, "FR");
  world.start();
  world.vehicle.drive();
  world.run(60);
  REQUIRE(!world.server.map_wishes.empty());
  const auto& wish = world.server.map_wishes.back();
  REQUIRE(wish.size() >= 3);
  CHECK(wish[0] == "NL");
  CHECK(wish[1] == "FR");
  CHECK(wish[2] == "DE");
}

TEST_CASE("it asks once a day, at once for a new region, and again after a failure (P3.2)") {
  World world;
  ask_by_itself(world);
  world.run(3600);
  CHECK(world.server.map_wishes.size() == 1);
  world.start();
  world.run(3600);
  CHECK(world.server.map_wishes.size() == 1);
  be_in(world, "FR");
  world.run(60);
  CHECK(world.server.map_wishes.size() == 2);
  world.run_days(5);
  CHECK(world.server.map_wishes.size() >= 6);
  CHECK(world.server.map_wishes.size() <= 8);
}

TEST_CASE("where the car was is kept, bounded, and not in private mode (P2.2, P3.2)") {
  World world;
  ask_by_itself(world);
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "true";
  be_in(world, "FR");
  world.run(60);
  CHECK(visited(world).empty());
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "false";
  be_in(world, "no region/at all");
  world.run(60);
  CHECK(visited(world).empty());
  be_in(world, "FR");
  world.run(60);
  world.start();
  CHECK(visited(world) == std::vector<std::string>{"FR"});
  for (int i = 0; i < 20; ++i) {
    be_in(world, "R" + std::to_string(i));
    world.run(60);
  }
  CHECK(world.agent->record().visits.size() == kVisitsMax);
  CHECK(world.agent->record().visits.contains(region("R19")));
  CHECK(!world.agent->record().visits.contains(region("FR")));
  // A month later only where it is now counts.
  be_in(world, "NL");
  for (int week = 0; week < 5; ++week) {
    world.server.sign_director();
    world.run_days(7);
  }
  CHECK(world.server.map_wishes.back() == std::vector<std::string>{"DE", "NL", "FR"});
}
