#include "agent/state.h"

#include <catch2/catch.hpp>

#include "manifest/report.h"

using namespace layby;
using namespace layby::agent;

namespace {

State after(State state, Event event) {
  const auto next = next_state(state, event);
  REQUIRE(next.has_value());
  return *next;
}

}  // namespace

TEST_CASE("an order walks the table from offer to active") {
  State state = State::kIdle;
  for (const Event event : {Event::kOffer, Event::kFetch, Event::kFetched, Event::kArm,
                            Event::kBegin, Event::kPrepared, Event::kSwitched, Event::kConfirmedOn})
    state = after(state, event);
  CHECK(state == State::kActive);
}

TEST_CASE("an order that needs no download skips it, a deactivation ends deactivated (P1.9)") {
  State state = State::kIdle;
  for (const Event event : {Event::kOffer, Event::kNothingToGet, Event::kArm, Event::kBegin,
                            Event::kPrepared, Event::kSwitched, Event::kConfirmedOff})
    state = after(state, event);
  CHECK(state == State::kDeactivated);
}

TEST_CASE("a failure leads back to downloaded for a later lock, or to failed (P4.5)") {
  for (const State state : {State::kInstalling, State::kActivating, State::kConfirming}) {
    CHECK(after(state, Event::kStepFailed) == State::kRollingBack);
    CHECK(is_past_no_return(state));
  }
  CHECK(after(State::kRollingBack, Event::kRolledBack) == State::kDownloaded);
  CHECK(after(State::kRollingBack, Event::kGiveUp) == State::kFailed);
}

TEST_CASE("what has started cannot be dropped, what has not can (P4.4)") {
  for (std::size_t s = 0; s < kStateCount; ++s) {
    const State state = static_cast<State>(s);
    const auto dropped = next_state(state, Event::kDrop);
    if (is_past_no_return(state) || state == State::kIdle) {
      CHECK(!dropped);
    } else {
      CHECK(dropped == State::kIdle);
    }
  }
}

TEST_CASE("nothing is installed or activated but through the point of no return (P4.1)") {
  for (std::size_t s = 0; s < kStateCount; ++s)
    for (std::size_t e = 0; e < kEventCount; ++e) {
      const State from = static_cast<State>(s);
      const auto to = next_state(from, static_cast<Event>(e));
      if (to && is_past_no_return(*to) && !is_past_no_return(from)) {
        CHECK(from == State::kWaiting);
        CHECK(static_cast<Event>(e) == Event::kBegin);
      }
    }
}

TEST_CASE("names of states are those of reports and can be read back") {
  for (std::size_t s = 0; s < kStateCount; ++s) {
    const State state = static_cast<State>(s);
    CHECK(state_from(to_string(state)) == state);
    if (state != State::kIdle) CHECK(manifest::parse_order_state(to_string(state)).has_value());
  }
  CHECK(!state_from("asleep"));
}
