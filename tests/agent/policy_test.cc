#include "agent/policy.h"

#include <catch2/catch.hpp>

using namespace layby;
using namespace layby::agent;

namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;
constexpr Requirements kNeeds{.battery_percent_min = 40};

Facts parked() {
  Facts facts;
  const auto set = [&](std::string_view name, const char* value) {
    facts.set(name, {value, kNow});
  };
  set(vss::kGear, "126");
  set(vss::kSpeed, "0");
  set(vss::kParkingBrake, "true");
  set(vss::kPower, "OFF");
  set(vss::kDriver, "false");
  set(vss::kCable, "false");
  set(vss::kTractionBattery, "80");
  set(vss::kLowVoltageBattery, "12.6");
  for (const char* door :
       {"Row1.DriverSide", "Row1.PassengerSide", "Row2.DriverSide", "Row2.PassengerSide"}) {
    set(std::string(vss::kDoorPrefix) + door + ".IsOpen", "false");
    set(std::string(vss::kDoorPrefix) + door + ".IsLocked", "true");
  }
  return facts;
}

Verdict judge(const Facts& facts) {
  return evaluate(facts, kNeeds, std::nullopt, kNow);
}

// One row a condition: the signal that it reads, values against it, values that make no sense.
struct Row {
  Condition condition;
  std::string signal;
  std::vector<std::string> unfulfilled;
  std::vector<std::string> implausible;
};

const std::vector<Row> kRows = {
    {Condition::kGear, std::string(vss::kGear), {"0", "127", "-1", "1"}, {"P", "", "126.0"}},
    {Condition::kParkingBrake, std::string(vss::kParkingBrake), {"false"}, {"on", ""}},
    {Condition::kPower, std::string(vss::kPower), {"ON", "ACC", "START"}, {"UNDEFINED", "off"}},
    {Condition::kDriver, std::string(vss::kDriver), {"true"}, {"0"}},
    {Condition::kChargingCable, std::string(vss::kCable), {"true"}, {"no"}},
    {Condition::kTractionBattery,
     std::string(vss::kTractionBattery),
     {"39.9", "0", "5"},
     {"-1", "100.1", "full"}},
    {Condition::kLowVoltageBattery,
     std::string(vss::kLowVoltageBattery),
     {"11.9", "0"},
     {"-3", "48", "?"}},
    {Condition::kDoorsClosed, "Vehicle.Cabin.Door.Row2.DriverSide.IsOpen", {}, {"ajar"}},
    {Condition::kDoorsLocked, "Vehicle.Cabin.Door.Row1.PassengerSide.IsLocked", {"false"}, {"1"}},
};

std::int64_t age_ms_max(const Row& row) {
  for (const ConditionRow& known : kConditionTable)
    if (known.condition == row.condition) return known.age_ms_max;
  return 0;
}

bool names(const Verdict& verdict, Reason reason) {
  return std::find(verdict.reasons.begin(), verdict.reasons.end(), reason) != verdict.reasons.end();
}

}  // namespace

TEST_CASE("a parked, locked, unplugged, charged car may begin (P4.1)") {
  const Verdict verdict = judge(parked());
  CHECK(verdict.answer == Verdict::Answer::kYes);
  CHECK(verdict.reasons.empty());
}

TEST_CASE("each condition of P4.1 stops it alone, and is named") {
  for (const Row& row : kRows) {
    for (const std::string& value : row.unfulfilled) {
      Facts facts = parked();
      facts.set(row.signal, {value, kNow});
      INFO(row.signal << " = " << value);
      const Verdict verdict = judge(facts);
      CHECK(verdict.answer == Verdict::Answer::kNo);
      CHECK(verdict.reasons == std::vector<Reason>{{row.condition, Why::kNotFulfilled}});
    }
    for (const std::string& value : row.implausible) {
      Facts facts = parked();
      facts.set(row.signal, {value, kNow});
      INFO(row.signal << " = " << value);
      CHECK(judge(facts).answer == Verdict::Answer::kNo);
      CHECK(names(judge(facts), {row.condition, Why::kImplausible}));
    }
  }
}

TEST_CASE("a missing or stale signal counts as not fulfilled (P4.1)") {
  for (const Row& row : kRows) {
    INFO(row.signal);
    Facts without = parked();
    without.erase(row.signal);
    CHECK(judge(without).answer == Verdict::Answer::kNo);
    CHECK(names(judge(without), {row.condition, Why::kMissing}));
    Facts stale = parked();
    stale.set(row.signal, {parked().signals().at(row.signal).value, kNow - age_ms_max(row) - 1});
    CHECK(judge(stale).answer == Verdict::Answer::kNo);
    CHECK(names(judge(stale), {row.condition, Why::kStale}));
    Facts old = parked();
    old.set(row.signal, {parked().signals().at(row.signal).value, kNow - age_ms_max(row)});
    CHECK(judge(old).answer == Verdict::Answer::kYes);
  }
}

TEST_CASE("every reason is named at once, in the order of the table") {
  const Verdict verdict = judge(Facts{});
  CHECK(verdict.answer == Verdict::Answer::kNo);
  REQUIRE(verdict.reasons.size() == kConditionTable.size());
  for (std::size_t i = 0; i < verdict.reasons.size(); ++i)
    CHECK(verdict.reasons[i] == Reason{kConditionTable[i].condition, Why::kMissing});
}

TEST_CASE("P counts only where the speed, if the car has one, is known to be none (P4.1)") {
  Facts facts = parked();
  const auto gear_is = [&](Why why) {
    return judge(facts).reasons == std::vector<Reason>{{Condition::kGear, why}};
  };
  for (const char* moving : {"30", "-1", "1.25e1", "0.5", "n/a", "", "1000000000000"}) {
    INFO(moving);
    facts.set(vss::kSpeed, {moving, kNow});
    CHECK(gear_is(Why::kImplausible));
  }
  facts.set(vss::kSpeed, {"0", kNow - kSignalAgeMsMax - 1});
  CHECK(gear_is(Why::kStale));
  facts.lose(vss::kSpeed);
  CHECK(gear_is(Why::kMissing));
  facts.erase(vss::kSpeed);
  CHECK(judge(facts).answer == Verdict::Answer::kYes);
}

TEST_CASE("the owner's time puts it off, and says until when (P4.2)") {
  const UnixSeconds later = kNow / 1000 + 3600;
  Verdict verdict = evaluate(parked(), kNeeds, later, kNow);
  CHECK(verdict.answer == Verdict::Answer::kAskAgain);
  CHECK(verdict.ask_again_at == later);
  CHECK(verdict.reasons == std::vector<Reason>{{Condition::kOwnerTime, Why::kNotFulfilled}});
  verdict = evaluate(parked(), kNeeds, kNow / 1000 - 1, kNow);
  CHECK(verdict.answer == Verdict::Answer::kYes);
  Facts facts = parked();
  facts.set(vss::kCable, {"true", kNow});
  verdict = evaluate(facts, kNeeds, later, kNow);
  CHECK(verdict.answer == Verdict::Answer::kNo);
  CHECK(verdict.reasons.size() == 2);
}

TEST_CASE("the battery threshold is the package's") {
  Facts facts = parked();
  facts.set(vss::kTractionBattery, {"30", kNow});
  CHECK(evaluate(facts, {.battery_percent_min = 30}, std::nullopt, kNow).answer ==
        Verdict::Answer::kYes);
  CHECK(evaluate(facts, {.battery_percent_min = 31}, std::nullopt, kNow).answer ==
        Verdict::Answer::kNo);
}
