// Cars that fall silent (drop-request), by the simulated clock.
#include <catch2/catch.hpp>

#include "server/fleet/check_in.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;

namespace {

const std::string kCar = "/v1/cars/" + std::string(kVin);
constexpr UnixSeconds kSilence = 16 * 3600;
constexpr UnixSeconds kPace = 3600;

struct Fleet : ShopWorld {
  Fleet() : car(*this, kVin) {
    restart();
    register_car(car);
    car.pair(owner_token);
  }
  // What was in memory is gone.
  void restart(UnixSeconds silence = kSilence) {
    auto opened = server::CheckIns::open(services.store, silence,
                                         [this](std::size_t count) { counted = count; });
    REQUIRE(opened);
    check_ins = std::move(*opened);
    services.check_ins = check_ins.get();
  }
  void wait(UnixSeconds seconds) {
    base.clock.advance(seconds);
    sweep();
  }
  void heard() { check_ins->heard(services, *manifest::Vin::parse(kVin)); }
  Json check_in() { return get(kCar, operator_token).body["check_in"]; }
  std::vector<std::string> silent() {
    std::vector<std::string> vins;
    const Answered all = get("/v1/silent-cars", operator_token);
    for (const Json& each : all.body["cars"]) vins.push_back(each["vin"]);
    return vins;
  }
  std::vector<std::string> states() {
    std::vector<std::string> all;
    for (const Json& event : events("check-in")) all.push_back(event["data"]["state"]);
    return all;
  }
  std::size_t entries() {
    std::size_t count = 0;
    const auto all = services.store.scan("d/", "d0", 1000);
    REQUIRE(all);
    for (const auto& entry : *all) count += entry.key.ends_with("/silence") ? 1 : 0;
    return count;
  }
  std::unique_ptr<server::CheckIns> check_ins;
  std::size_t counted = 99;
  SimCar car;
};

}  // namespace

TEST_CASE("drop-request: a silent car is noticed, once, and comes back") {
  Fleet fleet;
  CHECK(fleet.counted == 0);
  const std::string last = fleet.check_in()["last_heard"];
  fleet.wait(kSilence + kPace - 1);
  CHECK(fleet.silent().empty());
  CHECK(fleet.states().empty());
  fleet.wait(1);
  CHECK(fleet.silent() == std::vector<std::string>{kVin});
  CHECK(fleet.counted == 1);
  CHECK(fleet.check_in()["last_heard"] == last);
  CHECK(fleet.check_in().contains("silent_since"));
  for (int day = 0; day < 3; ++day) fleet.wait(kDaySeconds);
  fleet.restart();
  CHECK(fleet.counted == 1);
  fleet.wait(kDaySeconds);
  CHECK(fleet.states() == std::vector<std::string>{"missed"});
  CHECK(fleet.entries() == 0);
  // Any call of the car, whatever it says.
  CHECK(fleet.car.report().status == 200);
  CHECK(fleet.silent().empty());
  CHECK(fleet.counted == 0);
  CHECK_FALSE(fleet.check_in().contains("silent_since"));
  CHECK(fleet.states() == std::vector<std::string>{"missed", "resumed"});
  CHECK(fleet.entries() == 1);
  fleet.wait(kSilence + kPace);
  CHECK(fleet.states() == std::vector<std::string>{"missed", "resumed", "missed"});
  fleet.check_audit();
}

TEST_CASE("a car that calls is never called silent, and hardly ever written down") {
  Fleet fleet;
  const auto stored = [&] { return fleet.all_stored(); };
  fleet.heard();
  for (int hour = 0; hour < 3; ++hour) {
    const std::string before = stored();
    for (int call = 0; call < 3; ++call) {
      fleet.base.clock.advance(kPace / 4);
      fleet.heard();
      CHECK(stored() == before);
    }
    fleet.base.clock.advance(kPace / 4);
    fleet.heard();
    CHECK(stored() != before);
    CHECK(fleet.entries() == 1);
  }
  for (int hour = 0; hour < 60; ++hour) {
    fleet.wait(kPace);
    if (hour % 15 == 14) fleet.heard();
    if (hour == 40) fleet.restart();
  }
  CHECK(fleet.states().empty());
}

TEST_CASE("what memory knows counts also where it was not written yet") {
  Fleet fleet;
  fleet.heard();
  fleet.base.clock.advance(kPace - 1);
  fleet.heard();
  fleet.wait(kSilence + 1);  // due by what is written, not by what is known
  CHECK(fleet.states().empty());
  CHECK(fleet.entries() == 1);
  fleet.wait(kPace - 1);
  CHECK(fleet.states() == std::vector<std::string>{"missed"});
}

TEST_CASE("nobody waits for a car that could not come, or when it is switched off") {
  Fleet fleet;
  SECTION("a revoked certificate") {
    REQUIRE(
        fleet.call(server::Method::kDelete, kCar + "/certificate", fleet.operator_token).status ==
        204);
  }
  SECTION("switched off") {
    fleet.restart(0);
  }
  SECTION("a server that has no watch at all") {
    fleet.services.check_ins = nullptr;
  }
  fleet.wait(10 * kDaySeconds);
  CHECK(fleet.states().empty());
  CHECK(fleet.entries() == 0);
}

TEST_CASE("a longer silence holds for cars that are waited for already") {
  Fleet fleet;
  fleet.restart(2 * kSilence);
  fleet.wait(kSilence + kPace);
  CHECK(fleet.states().empty());
  fleet.wait(kSilence + kPace);
  CHECK(fleet.states() == std::vector<std::string>{"missed"});
}

TEST_CASE("a car that was told to call seldom is not missed by a silence that is shorter") {
  Fleet fleet;
  fleet.services.poll_seconds = 2 * kSilence;
  fleet.car.pair(fleet.owner_token);
  fleet.services.poll_seconds = 900;
  fleet.wait(kSilence + kPace);
  CHECK(fleet.states().empty());
  fleet.wait(server::kPollsBeforeSilent * 2 * kSilence - kSilence - kPace - 1);
  CHECK(fleet.states().empty());
  CHECK(fleet.entries() == 1);
  fleet.wait(1);
  CHECK(fleet.states() == std::vector<std::string>{"missed"});
}

TEST_CASE("a watch that is switched off lets silent cars come back, and misses no more") {
  Fleet fleet;
  fleet.wait(kSilence + kPace);
  REQUIRE(fleet.counted == 1);
  fleet.restart(0);
  CHECK(fleet.silent().size() == 1);
  fleet.heard();
  CHECK(fleet.silent().empty());
  CHECK(fleet.counted == 0);
  CHECK(fleet.states() == std::vector<std::string>{"missed", "resumed"});
  fleet.wait(10 * kDaySeconds);
  CHECK(fleet.states().size() == 2);
  CHECK(fleet.entries() == 0);
}

TEST_CASE("silent cars are listed page by page, by VIN") {
  Fleet fleet;
  const std::vector<std::string> vins{kOtherVin, "WVWZZZ1JZXW000033", "WVWZZZ1JZXW000041"};
  for (const std::string& vin : vins) {
    SimCar other(fleet, vin);
    fleet.register_car(other);
    other.pair(fleet.owner_token);
  }
  fleet.wait(kSilence + kPace);
  CHECK(fleet.counted == 4);
  const auto listed = [&](const std::string& query) {
    std::vector<std::string> found;
    const Answered some = fleet.get("/v1/silent-cars?" + query, fleet.operator_token);
    for (const Json& each : some.body["cars"]) found.push_back(each["vin"]);
    return found;
  };
  CHECK(listed("limit=2") == std::vector<std::string>{kVin, vins[0]});
  CHECK(listed("after=" + vins[0]) == std::vector<std::string>{vins[1], vins[2]});
  CHECK(listed("after=" + vins[2]).empty());
  fleet.restart();
  CHECK(fleet.counted == 4);
}

TEST_CASE("the list of silent cars is the operator's") {
  Fleet fleet;
  CHECK(fleet.get("/v1/silent-cars", fleet.owner_token).status == 403);
  CHECK(fleet.get("/v1/silent-cars", fleet.partner_token).status == 403);
}
