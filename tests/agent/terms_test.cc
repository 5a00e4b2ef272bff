// Terms in the car: renewals, their end without a connection, and what the head unit says of them
// (P1.9, P1.13).
#include <catch2/catch.hpp>

#include "agent/dates.h"
#include "base/time_text.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using manifest::LicenceState;

namespace {

constexpr const char* kFunction = "adaptive-cruise";
constexpr UnixSeconds kFirstEnd = kStart + 10 * kDaySeconds;
constexpr UnixSeconds kNextEnd = kStart + 40 * kDaySeconds;

manifest::OrderId buy(World& world) {
  world.server.licence_until = kFirstEnd;
  world.publish_function();
  return world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
}

manifest::OrderId buy_and_activate(World& world) {
  const auto id = buy(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 60));
  return id;
}

bool is_on(World& world) {
  return world.vehicle.functions.contains(kFunction);
}

const manifest::FunctionReport& told(World& world) {
  REQUIRE(!world.server.reports().empty());
  const auto& functions = world.server.reports().back().functions;
  REQUIRE(functions.size() == 1);
  return functions.begin()->second;
}

}  // namespace

TEST_CASE("a renewal takes the older licence's place at once, while driving (P1.9)") {
  World world;
  const auto id = buy_and_activate(world);
  world.vehicle.drive();
  world.run(60);
  const auto commands = world.vehicle.log.size();
  SECTION("under an order of its own") {
    world.server.cancel(id);
    const auto renewal = world.server.order_licence(kFunction, LicenceState::kActive, kNextEnd);
    REQUIRE(world.run_until_state(renewal, State::kActive, 2 * 3600));
    CHECK(world.order(renewal)->attempts == 0);
  }
  SECTION("under the order that it renews, also before the car has forgotten that") {
    world.server.renew(id, kFunction, kNextEnd);
    REQUIRE(world.run(2 * 3600, [&] {
      return world.order(id)->action == manifest::OrderAction::kLicence &&
             world.state(id) == State::kActive;
    }));
  }
  world.run(60);
  CHECK(world.vehicle.log.size() == commands);  // nothing was switched
  CHECK(told(world).counter == 2);
  CHECK(told(world).until == kNextEnd);
  CHECK(told(world).state == manifest::FunctionState::kActive);
  // The car learns the new end when it is left; that is no installation.
  world.vehicle.park_locked();
  world.run(60);
  CHECK(world.vehicle.log.back() == "activate adaptive-cruise until " + format_utc(kNextEnd));
  CHECK(world.vehicle.log.size() == commands + 1);
  world.start();
  world.run(60);
  CHECK(world.vehicle.log.size() == commands + 1);
  world.run_days(35);
  CHECK(is_on(world));
  world.run_days(6);
  CHECK(!is_on(world));
}

TEST_CASE("a renewal that comes before its function waits for it (P1.9)") {
  World world;
  const auto id = buy(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  REQUIRE(world.order(id)->waiting_for == std::vector<std::string>{"exit-and-lock", "gear",
                                                                   "parking-brake", "power",
                                                                   "driver", "doors-locked"});
  const auto renewal = world.server.order_licence(kFunction, LicenceState::kActive, kNextEnd);
  world.run(2 * 3600);
  CHECK(world.state(renewal) == State::kOffered);
  CHECK(world.order(renewal)->waiting_for == std::vector<std::string>{"function"});
  CHECK(world.vehicle.shows("once the function is installed"));
  CHECK(world.agent->record().attack.empty());
  world.start();
  world.run(60);
  CHECK(world.state(renewal) == State::kOffered);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 60));
  REQUIRE(world.run_until_state(renewal, State::kActive, 60));
  world.run(60);
  CHECK(told(world).counter == 2);
  CHECK(told(world).until == kNextEnd);
}

TEST_CASE("a renewal for another car is refused once and named, and a right one counts (P1.3)") {
  World world;
  const auto id = buy_and_activate(world);
  world.server.renew(id, kFunction, kNextEnd, "WVWZZZ1JZXW000025");
  REQUIRE(world.run_until_state(id, State::kRefused, 2 * 3600));
  world.run(60);
  CHECK(told(world).counter == 1);
  int named = 0;
  for (const manifest::EcuReport& report : world.server.reports())
    if (report.attack.starts_with("licence-refused")) ++named;
  CHECK(named == 1);
  const auto reports = world.server.reports().size();
  world.run(4 * 3600);
  CHECK(world.server.reports().size() <= reports + 1);  // the attack is told once
  CHECK(is_on(world));
  world.server.renew(id, kFunction, kNextEnd);
  REQUIRE(world.run_until_state(id, State::kActive, 2 * 3600));
  world.run(60);
  CHECK(told(world).counter == 3);
  CHECK(is_on(world));
}

TEST_CASE("a renewal of what is switched off already walks by exit-and-lock (P1.9)") {
  World world;
  buy_and_activate(world);
  world.server.offline = true;
  world.run_days(11);
  REQUIRE(!is_on(world));
  world.server.offline = false;
  world.vehicle.drive();
  const auto renewal = world.server.order_licence(kFunction, LicenceState::kActive, kNextEnd);
  world.run(3600);
  CHECK(world.state(renewal) == State::kDownloaded);
  CHECK(!is_on(world));
  world.exit_and_lock();
  REQUIRE(world.run_until_state(renewal, State::kActive, 60));
  CHECK(is_on(world));
}

TEST_CASE("what never was installed is off already: the deactivation says so (P1.7, P1.9)") {
  World world;
  const auto id = buy(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  world.server.deactivate(id, kFunction);
  REQUIRE(world.run_until_state(id, State::kDeactivated, 2 * 3600));
  world.run(60);
  CHECK(world.server.reported(id)->state == manifest::OrderState::kDeactivated);
  world.exit_and_lock();
  world.run(600);
  CHECK(!is_on(world));
  CHECK(world.disk.list("/car/inbox")->empty());
}

TEST_CASE("a term that is over ends at the next power-off, offline, never while driving (P1.9)") {
  World world;
  buy_and_activate(world);
  world.server.offline = true;
  world.vehicle.drive();
  world.run_days(11);
  REQUIRE(is_on(world));
  world.vehicle.park_locked();
  world.vehicle.signals["Vehicle.Cabin.Door.Row1.DriverSide.IsLocked"] = "false";
  world.vehicle.signals[std::string(vss::kCable)] = "true";
  world.vehicle.signals[std::string(vss::kDriver)] = "true";
  const std::pair<std::string_view, const char*> driving[] = {
      {vss::kSpeed, "3"}, {vss::kGear, "127"}, {vss::kPower, "ON"}, {vss::kPower, ""}};
  // No step between two of them sees a car that stands and is switched off.
  for (const auto& [name, value] : driving) {
    world.vehicle.signals[std::string(name)] = value;
    if (name != vss::kSpeed) world.vehicle.signals[std::string(vss::kSpeed)] = "0";
    world.run(120);
    INFO(name << " " << value);
    CHECK(is_on(world));
    world.vehicle.signals[std::string(vss::kSpeed)] = "3";
    world.vehicle.signals[std::string(vss::kGear)] = "126";
    world.vehicle.signals[std::string(vss::kPower)] = "OFF";
  }
  world.vehicle.signals[std::string(vss::kSpeed)] = "0";
  world.run(120);
  CHECK(!is_on(world));
  CHECK(world.vehicle.log.back() == "deactivate adaptive-cruise");
}

TEST_CASE("a car that hears nothing goes on for the grace that the licence names (P1.9)") {
  World world;
  world.server.licence_grace_seconds = 3 * kDaySeconds;
  buy_and_activate(world);
  world.server.offline = true;
  world.vehicle.park_locked();
  world.run_days(10);
  CHECK(is_on(world));
  CHECK(world.vehicle.shows("off at the first power-off after the grace: adaptive-cruise"));
  SECTION("and a renewal in it stops nothing") {
    world.server.offline = false;
    const auto commands = world.vehicle.log.size();
    const auto renewal = world.server.order_licence(kFunction, LicenceState::kActive, kNextEnd);
    REQUIRE(world.run_until_state(renewal, State::kActive, 7 * 3600));
    world.run_days(4);
    CHECK(is_on(world));
    for (std::size_t i = commands; i < world.vehicle.log.size(); ++i)
      CHECK(world.vehicle.log[i].starts_with("activate"));
  }
  SECTION("and no longer; while it is driven it runs") {
    world.run_days(2);
    CHECK(is_on(world));
    world.vehicle.drive();
    world.run_days(2);
    CHECK(is_on(world));
    world.vehicle.park_locked();
    world.run(60);
    CHECK(!is_on(world));
    world.server.offline = false;
    world.vehicle.drive();
    world.run(3600);
    CHECK(told(world).state == manifest::FunctionState::kExpired);
    CHECK(told(world).until == kFirstEnd);
  }
}

TEST_CASE("the head unit shows what remains of a term, in the driver's language (P1.13)") {
  World world;
  buy_and_activate(world);
  world.vehicle.drive();
  world.run(60);
  const auto end = [](Language language) { return date_text(kFirstEnd, language, {}); };
  CHECK(world.vehicle.shows("Active until " + end(Language::kEnglish)));
  CHECK(world.vehicle.shows(": adaptive-cruise (9 days left)"));
  world.run_days(8);
  CHECK(world.vehicle.shows("(1 day left)"));
  world.vehicle.signals[std::string(vss::kLanguage)] = "de";
  world.run(60);
  CHECK(world.vehicle.shows("Aktiv bis " + end(Language::kGerman)));
  CHECK(world.vehicle.shows("(noch 1 Tag)"));
  world.vehicle.signals[std::string(vss::kLanguage)] = "fr";
  CHECK(world.run(36 * 3600, [&] { return world.vehicle.shows("(encore 23 heures)"); }));
  world.server.order_licence(kFunction, LicenceState::kActive, std::nullopt);
  world.vehicle.signals[std::string(vss::kLanguage)] = "nl";
  world.run(2 * 3600);
  CHECK(world.vehicle.shows("Actief zonder tijdslimiet: adaptive-cruise"));
}

TEST_CASE("the expected duration is told in minutes, of one or of many (P4.4)") {
  World world;
  world.publish_software();
  const auto id = world.server.order({"software/hu-4/2.0.0.img"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  CHECK(world.vehicle.shows("takes about 2 minutes."));
}

TEST_CASE("a function that cannot be switched keeps no other from ending (P1.9)") {
  World world;
  const auto first = buy_and_activate(world);
  world.server.publish(
      {.name = "functions/trailer-assist/1.0.0.pkg", .bytes = world.package, .base = {}});
  const auto second = world.server.order({"functions/trailer-assist/1.0.0.pkg"});
  world.vehicle.drive();
  REQUIRE(world.run_until_state(second, State::kDownloaded, 2 * 3600));
  world.run(5);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(second, State::kActive, 60));
  REQUIRE(world.state(first) == State::kActive);
  REQUIRE(world.vehicle.functions.size() == 2);
  world.server.offline = true;
  world.vehicle.dead_function = kFunction;
  world.run_days(11);
  CHECK(world.vehicle.functions.contains(kFunction));
  CHECK(!world.vehicle.functions.contains("trailer-assist"));
  world.vehicle.dead_function.clear();
  world.run(3600);
  CHECK(world.vehicle.functions.empty());
}

TEST_CASE("what a failed installation brought is not switched on behind its back (P4.5)") {
  World world;
  const auto first = buy_and_activate(world);
  world.server.cancel(first);
  world.run_days(11);
  REQUIRE(!is_on(world));
  world.server.licence_until = kNextEnd;
  const auto again = world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
  world.vehicle.drive();
  REQUIRE(world.run_until_state(again, State::kDownloaded, 7 * 3600));
  world.run(5);
  world.vehicle.fail_activate = 1;
  world.exit_and_lock();
  world.run(3600);
  CHECK(world.state(again) == State::kDownloaded);
  CHECK(!is_on(world));  // only after a later exit-and-lock
  world.exit_and_lock();
  REQUIRE(world.run_until_state(again, State::kActive, 60));
  CHECK(is_on(world));
}

TEST_CASE("a licence that is over before the activation is waited for, not refused (P1.6)") {
  World world;
  const auto id = buy(world);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  world.server.offline = true;
  world.run_days(11);
  world.exit_and_lock();
  world.run(60);
  CHECK(world.state(id) == State::kDownloaded);
  CHECK(world.order(id)->waiting_for.front() == "licence");
  CHECK(!is_on(world));
  world.server.offline = false;
  world.server.relicense(id, kFunction, kNextEnd);
  world.vehicle.drive();
  world.run(7 * 3600);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 600));
  CHECK(is_on(world));
}

TEST_CASE("a renewal waits for no download (P1.9)") {
  World world;
  const auto id = buy_and_activate(world);
  world.publish_maps();
  const auto maps = world.server.order({"maps/DE/2.tar"});
  world.vehicle.drive();
  world.server.at_payload = [&](const std::string&, const ByteRange&) {
    world.server.break_payload_after = 0;  // a slow day: nothing ever comes
  };
  world.run(3 * 3600);
  REQUIRE(world.state(maps) == State::kDownloading);
  world.server.renew(id, kFunction, kNextEnd);
  world.run(3 * 3600);
  CHECK(world.state(maps) == State::kDownloading);
  CHECK(told(world).counter == 2);
}

TEST_CASE("with the licence key of the next release a car takes honest licences again (P1.9)") {
  World world;
  const auto first = buy_and_activate(world);
  world.server.cancel(first);
  world.vehicle.drive();
  // A thief of the key, and of the Director's.
  world.server.set_licence_counter(kFunction, 1'000'000'000);
  const auto stolen = world.server.order_licence(kFunction, LicenceState::kActive, kFirstEnd);
  REQUIRE(world.run_until_state(stolen, State::kActive, 2 * 3600));
  world.server.cancel(stolen);
  world.server.set_licence_counter(kFunction, 1);
  const auto honest = world.server.order_licence(kFunction, LicenceState::kActive, kFirstEnd);
  REQUIRE(world.run_until_state(honest, State::kRefused, 2 * 3600));
  world.server.cancel(honest);

  const auto old_key = world.server.use_licence_key(crypto::MemorySigner::generate());
  world.publish_function("1.1.0", 2);
  world.server.licence_until = kFirstEnd;
  const auto exchange = world.server.order({"functions/adaptive-cruise/1.1.0.pkg"});
  REQUIRE(world.run_until_state(exchange, State::kDownloaded, 7 * 3600));
  world.run(5);
  CHECK(is_on(world));
  CHECK(told(world).counter == 1'000'000'001);

  SECTION("and not those of the old one") {
    world.exit_and_lock();
    REQUIRE(world.run_until_state(exchange, State::kActive, 60));
    world.run(60);
    CHECK(told(world).counter == 3);
    CHECK(told(world).until == kFirstEnd);
    world.server.cancel(exchange);
    const auto new_key = world.server.use_licence_key(old_key);
    world.server.set_licence_counter(kFunction, 2'000'000'000);
    const auto again = world.server.order_licence(kFunction, LicenceState::kActive, kNextEnd);
    REQUIRE(world.run_until_state(again, State::kRefused, 7 * 3600));
    world.server.use_licence_key(new_key);
    world.server.set_licence_counter(kFunction, 3);
    const auto renewal = world.server.order_licence(kFunction, LicenceState::kActive, kNextEnd);
    REQUIRE(world.run_until_state(renewal, State::kActive, 7 * 3600));
    world.run(60);
    CHECK(told(world).counter == 4);
  }
  SECTION("also where the package could not be installed: what was on stays on") {
    world.vehicle.fail_activate = 1;
    world.exit_and_lock();
    world.run(600);
    CHECK(world.state(exchange) == State::kDownloaded);
    CHECK(is_on(world));
    const auto renewal = world.server.order_licence(kFunction, LicenceState::kActive, kNextEnd);
    REQUIRE(world.run_until_state(renewal, State::kActive, 7 * 3600));
    world.run(60);
    CHECK(is_on(world));
    CHECK(told(world).counter == 4);
  }
  CHECK(is_on(world));
}
