// Every history of an order that owner, thief, car, time and crashes can bring about, walked
// through to a depth: exactly one of {activated and billed, cancelled and given back} for each
// order and period, whatever meets whatever (P1.5, P1.6, P1.8, P1.10, P1.12; LESSONS "a cancel
// races the installation and both win").
#include "tests/server/shop/explorer.h"

#include <catch2/catch.hpp>

using namespace layby;
using namespace layby::tests;

namespace {

enum class Name {
  kUnlimited,
  kSubscription,
  kTwoDays,
  kTracker,
  kUnpublished,
  kUnpublishedTerm,
  kSoftware,
  kObsolete,
  kSilent,
  kAgain,
};
constexpr Name kNames[] = {Name::kUnlimited, Name::kSubscription, Name::kTwoDays,
                           Name::kTracker,   Name::kUnpublished,  Name::kUnpublishedTerm,
                           Name::kSoftware,  Name::kObsolete,     Name::kSilent,
                           Name::kAgain};

Scenario scenario_of(Name name) {
  const Json two_days{{"kind", "fixed"}, {"days", 2}};
  const Json from_acceptance{{"kind", "fixed"}, {"days", 2}, {"from", "acceptance"}};
  switch (name) {
    case Name::kUnlimited:
      return {.product = {{"withdrawal_days", 60}},
              .ops = {Op::kCancel, Op::kWithdraw, Op::kCarWorks, Op::kCarFails, Op::kCarRollsBack,
                      Op::kCarReports, Op::kCarRepeats, Op::kTimePasses, Op::kSweep},
              .depth = 1000,  // to the end: nothing new comes after some steps
              .car = Car::kDetailed};
    case Name::kSubscription:
      return {.product = {{"term", {{"kind", "subscription"}}}, {"withdrawal_days", 40}},
              .ops = {Op::kWithdraw, Op::kSwitchRenewal, Op::kCarWorks, Op::kCarReports,
                      Op::kTimePasses, Op::kSweep},
              .depth = 7,
              .periods_max = 2};
    case Name::kTwoDays:
      return {
          .product = {{"term", two_days}},
          .ops = {Op::kSwitchRenewal, Op::kCarWorks, Op::kCarReports, Op::kTimePasses, Op::kSweep},
          .depth = 9,
          .periods_max = 2};
    case Name::kTracker:
      return {.product = {{"term", {{"kind", "fixed"}, {"days", 5}}}, {"protects", true}},
              .ops = {Op::kCancel, Op::kRenewByHand, Op::kStolen, Op::kFound, Op::kHandOver,
                      Op::kCarWorks, Op::kCarReports, Op::kTimePasses, Op::kSweep},
              .depth = 6};
    case Name::kUnpublished:
      return {.product = Json::object(),
              .ops = {Op::kCancel, Op::kWithdraw, Op::kHandOver, Op::kPayload, Op::kTimePasses,
                      Op::kSweep},
              .depth = 9,
              .payload = ShopWorld::Payload::kMissing,
              .states_min = 10};
    case Name::kUnpublishedTerm:
      return {.product = {{"term", from_acceptance}},
              .ops = {Op::kPayload, Op::kTimePasses, Op::kSweep},
              .depth = 6,
              .payload = ShopWorld::Payload::kMissing,
              .states_min = 5};
    case Name::kSoftware:
      return {.product = nullptr,
              .ops = {Op::kCancel, Op::kConsent, Op::kPayload, Op::kHandOver, Op::kCarWorks,
                      Op::kCarRollsBack, Op::kCarReports},
              .depth = 7,
              .car = Car::kDetailed,
              .payload = ShopWorld::Payload::kMissing};
    case Name::kObsolete:
      return {.product = nullptr,
              .ops = {Op::kImage, Op::kNewEcu, Op::kPayload, Op::kCarWorks, Op::kCarReports},
              .depth = 8,
              .car = Car::kDetailed,
              .payload = ShopWorld::Payload::kMissing};
    case Name::kSilent:
      return {.product = {{"term", from_acceptance}},
              .ops = {Op::kCancel, Op::kImage, Op::kHandOver, Op::kNewOwner, Op::kCarWorks,
                      Op::kCarRollsBack, Op::kCarReports, Op::kTimePasses, Op::kSweep},
              .depth = 7,
              .car = Car::kDetailed};
    case Name::kAgain:
      return {.product = {{"term", {{"kind", "fixed"}, {"days", 1}}}, {"renewable", false}},
              .ops = {Op::kOrderAgain, Op::kNewKeys, Op::kCarWorks, Op::kCarWorksOnAgain,
                      Op::kCarReports, Op::kTimePasses, Op::kSweep},
              .depth = 9};
  }
  return {};
}

// How its orders ended. Once for each, whichever test asks first.
const std::set<std::string>& ends_of(Name name) {
  static std::map<Name, std::set<std::string>> explored;
  const auto found = explored.find(name);
  if (found != explored.end()) return found->second;
  const Scenario scenario = scenario_of(name);
  Explorer explorer(scenario);
  explorer.explore();
  WARN(explorer.states() << " states, " << explorer.steps() << " steps");
  CHECK(explorer.states() >= scenario.states_min);
  return explored.emplace(name, explorer.ends()).first->second;
}

void check_ends(Name name, std::initializer_list<const char*> ends) {
  for (const char* end : ends) {
    INFO(end);
    CHECK(ends_of(name).contains(end));
  }
}

}  // namespace

// Ends name, for each period, b: billed, r: returned, R: refunded.

TEST_CASE("P1.5, P1.6, P1.7: every history of an unlimited order, with crashes and races") {
  CHECK(ends_of(Name::kUnlimited) ==
        std::set<std::string>{"cancelled r", "failed r", "refunded r", "refunded bR"});
}

TEST_CASE("P1.5, P1.8: every history of a subscription, with crashes and races") {
  check_ends(Name::kSubscription, {"cancelled r", "refunded r", "refunded bR"});
}

TEST_CASE("P1.5, P1.8: every history of a term of two days that is renewed or ends") {
  check_ends(Name::kTwoDays, {"cancelled r", "ended b"});
}

TEST_CASE(
    "P1.10, P1.12: every history of a tracker in a car that is stolen, found and handed over") {
  check_ends(Name::kTracker, {"cancelled r"});
}

TEST_CASE("P1.6, P1.10: every history of an order whose package comes late or never") {
  CHECK(ends_of(Name::kUnpublished) == std::set<std::string>{"cancelled r"});
  CHECK(ends_of(Name::kUnpublishedTerm) == std::set<std::string>{"cancelled r"});
}

TEST_CASE("P2.1: every history of software whose consent is withdrawn") {
  check_ends(Name::kSoftware, {"cancelled"});
}

TEST_CASE("every history of software whose image is withdrawn or whose ECU is exchanged") {
  check_ends(Name::kObsolete, {"cancelled", "failed"});
}

TEST_CASE("P1.5, P1.10: every history of a car that falls silent, is sold, or lost its image") {
  check_ends(Name::kSilent, {"cancelled r", "failed r"});
}

TEST_CASE("P1.8, P2.6: every history of a function that is bought again, in a car with new keys") {
  check_ends(Name::kAgain, {"ended b"});
}

TEST_CASE(
    "the histories go through every state of an order and every cell of the table that moves") {
  for (const Name name : kNames) ends_of(name);
  for (std::size_t p = 0; p < server::kOrderPhases; ++p) {
    const auto phase = static_cast<OrderPhase>(p);
    INFO("state " << to_string(phase));
    CHECK(phases_seen.contains(phase));
    for (std::size_t c = 0; c < server::kOrderCauses; ++c) {
      const auto cause = static_cast<OrderCause>(c);
      if (server::order_step(phase, cause).kind != server::OrderStep::Kind::kMove) continue;
      INFO("cause " << to_string(cause));
      CHECK(moves_seen.contains({phase, cause}));
    }
  }
}
