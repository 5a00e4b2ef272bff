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
  CHECK(std::get<std::int64_t>(read("1.25e1")) == 12'500);
  CHECK(std::get<std::int64_t>(read("-4E-05")) == 0);
  for (const char* bad : {"", "1.", ".5", "e3", "1e", "1e3 ", "1e9", "-1e99", "1e999", " 1", "1 ",
                          "nan", "1.2.3", "99999999999"})
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

TEST_CASE("how many doors a car has does not age") {
  Facts facts;
  facts.set(vss::kDoorCount, {"1", kNow - 400'000'000'000});
  facts.set("Vehicle.Cabin.Door.Row1.DriverSide.IsOpen", {"false", kNow});
  facts.set("Vehicle.Cabin.Door.Row1.DriverSide.IsLocked", {"true", kNow});
  CHECK(std::get<DoorState>(doors(facts, kNow)) == DoorState::kClosedAndLocked);
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

TEST_CASE("a number is cut after the third decimal, however many a machine prints") {
  Facts facts;
  facts.set("x", {"12.600000381469727", kNow});
  CHECK(std::get<std::int64_t>(facts.thousandths("x", kNow)) == 12'600);
  facts.set("x", {"12.6000003814697x", kNow});
  CHECK(doubt(facts.thousandths("x", kNow)) == Doubt::kImplausible);
}

TEST_CASE("the owner's time that is lost or no time is a doubt, not \"at once\" (P4.2)") {
  const auto is = [](const OwnerTime& time, std::optional<UnixSeconds> wanted) {
    const auto* known = std::get_if<std::optional<UnixSeconds>>(&time);
    return known != nullptr && *known == wanted;
  };
  Facts facts;
  CHECK(is(owner_time(facts, {}), std::nullopt));  // a car without this signal
  CHECK(is(owner_time(facts, 7), 7));              // one that had it
  facts.lose(vss::kActivateAt);
  CHECK(std::get<Doubt>(owner_time(facts, {})) == Doubt::kMissing);
  CHECK(is(owner_time(facts, 7), 7));
  facts.set(vss::kActivateAt, {"", kNow});
  CHECK(is(owner_time(facts, 7), std::nullopt));
  CHECK(kept_owner_time(facts, 7) == std::nullopt);
  facts.set(vss::kActivateAt, {"1970-01-01T00:01:00.001Z", kNow});  // as JavaScript writes it
  CHECK(is(owner_time(facts, 7), 61));
  CHECK(kept_owner_time(facts, 7) == 61);
  for (const char* nonsense : {"soon", "1970-01-01T00:01:00+01:00", "60"}) {
    facts.set(vss::kActivateAt, {nonsense, kNow});
    CHECK(std::get<Doubt>(owner_time(facts, 7)) == Doubt::kImplausible);
    CHECK(kept_owner_time(facts, 7) == 7);
  }
}

TEST_CASE("a door, or the count of doors, that is lost is a doubt") {
  Facts facts;
  for (const char* door :
       {"Row1.DriverSide", "Row1.PassengerSide", "Row2.DriverSide", "Row2.PassengerSide"}) {
    facts.set("Vehicle.Cabin.Door." + std::string(door) + ".IsOpen", {"false", kNow});
    facts.set("Vehicle.Cabin.Door." + std::string(door) + ".IsLocked", {"true", kNow});
  }
  CHECK(std::get<DoorState>(doors(facts, kNow)) == DoorState::kClosedAndLocked);
  Facts without_count = facts;
  without_count.lose(vss::kDoorCount);
  CHECK(std::get<Doubt>(doors(without_count, kNow)) == Doubt::kMissing);
  CHECK(has_changed(facts, without_count, kNow));
  facts.lose("Vehicle.Cabin.Door.Row3.DriverSide.IsLocked");
  CHECK(std::get<Doubt>(doors(facts, kNow)) == Doubt::kMissing);
  facts.erase("Vehicle.Cabin.Door.Row3.DriverSide.IsLocked");
  CHECK(std::get<DoorState>(doors(facts, kNow)) == DoorState::kClosedAndLocked);
}
