#include "agent/facts.h"

#include <catch2/catch.hpp>

using namespace layby;
using namespace layby::agent;

namespace {
constexpr std::int64_t kNow = 1'800'000'000'000;

Doubt doubt(const Reading<std::int64_t>& reading) {
  return std::get<Doubt>(reading);
}
}  // namespace

TEST_CASE("a reading is a value, or says why there is none") {
  Facts facts;
  facts.set("a", {"12.6", kNow});
  CHECK(std::get<std::int64_t>(facts.thousandths("a", kNow)) == 12'600);
  CHECK(doubt(facts.thousandths("b", kNow)) == Doubt::kMissing);
  CHECK(doubt(facts.thousandths("a", kNow + kSignalAgeMsMax + 1)) == Doubt::kStale);
  CHECK(doubt(facts.thousandths("a", kNow - kSignalAheadMsMax - 1)) == Doubt::kImplausible);
}

TEST_CASE("numbers are read strictly") {
  Facts facts;
  const auto read = [&](const char* text) {
    facts.set("x", {text, kNow});
    return facts.thousandths("x", kNow);
  };
  CHECK(std::get<std::int64_t>(read("0")) == 0);
  CHECK(std::get<std::int64_t>(read("80")) == 80'000);
  CHECK(std::get<std::int64_t>(read("12.3456")) == 12'345);
  CHECK(std::get<std::int64_t>(read("-1.5")) == -1'500);
  for (const char* bad : {"", "1.", ".5", "1e3", " 1", "1 ", "nan", "1.2.3", "99999999999"})
    CHECK(doubt(read(bad)) == Doubt::kImplausible);
}

TEST_CASE("doors count only when each has both of its signals and all are there") {
  Facts facts;
  const auto set_door = [&](const std::string& door, const char* open, const char* locked) {
    facts.set("Vehicle.Cabin.Door." + door + ".IsOpen", {open, kNow});
    facts.set("Vehicle.Cabin.Door." + door + ".IsLocked", {locked, kNow});
  };
  for (const char* door : {"Row1.DriverSide", "Row1.PassengerSide", "Row2.DriverSide"})
    set_door(door, "false", "true");
  CHECK(std::get<Doubt>(doors(facts, kNow)) == Doubt::kMissing);
  facts.set(vss::kDoorCount, {"3", kNow});
  CHECK(std::get<DoorState>(doors(facts, kNow)) == DoorState::kClosedAndLocked);
  // A window is no door.
  facts.set("Vehicle.Cabin.Door.Row1.DriverSide.Window.IsOpen", {"true", kNow});
  facts.set("Vehicle.Cabin.Door.Row1.DriverSide.Shade.Position", {"40", kNow});
  CHECK(std::get<DoorState>(doors(facts, kNow)) == DoorState::kClosedAndLocked);
  set_door("Row1.DriverSide", "false", "false");
  CHECK(std::get<DoorState>(doors(facts, kNow)) == DoorState::kClosedNotLocked);
  set_door("Row2.DriverSide", "true", "true");
  CHECK(std::get<DoorState>(doors(facts, kNow)) == DoorState::kOpen);
  facts.erase("Vehicle.Cabin.Door.Row2.DriverSide.IsOpen");
  CHECK(std::get<Doubt>(doors(facts, kNow)) == Doubt::kMissing);
}

TEST_CASE("neither entered nor left is concluded from doubt") {
  Facts facts;
  CHECK(!is_left_and_locked(facts, kNow));
  CHECK(!is_entered(facts, kNow));
  facts.set(vss::kDriver, {"true", kNow});
  CHECK(is_entered(facts, kNow));
  CHECK(!is_entered(facts, kNow + kSignalAgeMsMax + 1));
}

TEST_CASE("private mode needs no fresh proof (P2.2)") {
  Facts facts;
  CHECK(!is_private(facts));
  facts.set(vss::kPrivateMode, {"true", kNow - 1'000'000});
  CHECK(is_private(facts));
  facts.set(vss::kPrivateMode, {"false", kNow});
  CHECK(!is_private(facts));
}
