// The states of an order in the car, and the one table that says how it moves between them.
//
// Software, map, function, licence and deactivation all walk this table; what an order does not
// need it passes through without doing anything there. `next_state` is pure. Who takes a step first
// saves the state by name (journal.h), then acts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace layby::agent {

enum class State : std::uint8_t {
  kIdle,         // not known, or forgotten
  kOffered,      // listed by the Director; nothing fetched yet
  kDownloading,  // chunks are on their way
  kDownloaded,   // complete and read back; waits for its licence and for exit-and-lock
  kWaiting,      // armed by exit-and-lock; waits for conditions or for the owner's time
  kInstalling,   // past the point of no return: images are put beside what is live
  kActivating,   // the switch
  kConfirming,   // trial: what was switched has to prove itself
  kRollingBack,  // the switch is undone
  kFailed,       // gave up; the car is as it was
  kActive,
  kDeactivated,
  kRefused,  // will never be done: not for this car, gone from the server, nonsense
};
constexpr std::size_t kStateCount = 13;

enum class Event : std::uint8_t {
  kOffer,         // the Director lists it
  kFetch,         // payloads are chosen and there is room
  kNothingToGet,  // the images are here already, or there are none
  kFetched,       // every image complete and read back
  kArm,           // the driver got out and locked after the download
  kBegin,         // all conditions hold: the point of no return
  kPrepared,      // what becomes live lies beside what is live
  kSwitched,      // it is live
  kConfirmedOn,   // it proved itself
  kConfirmedOff,  // the function is off
  kStepFailed,    // installing, activating or confirming failed
  kRolledBack,    // as before; to be tried again after a later exit-and-lock
  kGiveUp,        // too many tries, or too many bytes
  kRefuse,        // it can never work
  kDrop,          // the Director does not list it any more
  kRenewed,       // a newer licence of a function that is on: taken at once, nothing is switched
  kNothingOn,     // to be switched off, and it never was installed
  kDamaged,       // as before; what was to be installed is damaged and has to come again
};
constexpr std::size_t kEventCount = 18;

// Empty: this event means nothing in this state, and nothing happens.
constexpr std::optional<State> next_state(State state, Event event);

// Nothing stops it any more: it ends in success or in the previous state (P4.4).
constexpr bool is_past_no_return(State state) {
  return state == State::kInstalling || state == State::kActivating ||
         state == State::kConfirming || state == State::kRollingBack;
}

// It stays as it is until the Director drops it.
constexpr bool is_final(State state) {
  return state == State::kFailed || state == State::kActive || state == State::kDeactivated ||
         state == State::kRefused;
}

// The name in reports, in the journal and in `status`; never changes.
std::string_view to_string(State state);
std::optional<State> state_from(std::string_view name);

// ------------------------------------------------------------------------------------------------

namespace table {

// A cell names the state that comes next; one letter less than a word, so that the table lines up.
enum class Cell : std::uint8_t {
  end,  // 0, so that a row that is too short is noticed
  idl,
  ofr,
  lod,
  ful,
  wai,
  ins,
  act,
  cnf,
  bck,
  fai,
  on_,
  off,
  ref,
  xx_,  // means nothing here
};

using enum Cell;
// clang-format off
constexpr Cell kTable[kStateCount][kEventCount + 1] = {
  //                Ofr Ftc Non Ftd Arm Beg Pre Swi On  Off Fai Rlb Giv Ref Drp Rnw Not Dmg
  /* idle        */{ofr,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,end},
  /* offered     */{xx_,lod,ful,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,fai,ref,idl,on_,off,xx_,end},
  /* downloading */{xx_,xx_,xx_,ful,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,fai,ref,idl,xx_,xx_,xx_,end},
  /* downloaded  */{xx_,xx_,xx_,xx_,wai,xx_,xx_,xx_,xx_,xx_,xx_,xx_,fai,ref,idl,xx_,xx_,xx_,end},
  /* waiting     */{xx_,xx_,xx_,xx_,xx_,ins,xx_,xx_,xx_,xx_,xx_,xx_,fai,ref,idl,xx_,xx_,xx_,end},
  /* installing  */{xx_,xx_,xx_,xx_,xx_,xx_,act,xx_,xx_,xx_,bck,xx_,xx_,xx_,xx_,xx_,xx_,xx_,end},
  /* activating  */{xx_,xx_,xx_,xx_,xx_,xx_,xx_,cnf,xx_,xx_,bck,xx_,xx_,xx_,xx_,xx_,xx_,xx_,end},
  /* confirming  */{xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,on_,off,bck,xx_,xx_,xx_,xx_,xx_,xx_,xx_,end},
  /* rolling back*/{xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,ful,fai,xx_,xx_,xx_,xx_,lod,end},
  /* failed      */{xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,idl,xx_,xx_,xx_,end},
  /* active      */{xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,idl,xx_,xx_,xx_,end},
  /* deactivated */{xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,idl,xx_,xx_,xx_,end},
  /* refused     */{xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,xx_,idl,xx_,xx_,xx_,end},
};
// clang-format on

constexpr bool every_row_is_whole() {
  for (const auto& row : kTable) {
    for (std::size_t event = 0; event < kEventCount; ++event)
      if (row[event] == end) return false;
    if (row[kEventCount] != end) return false;
  }
  return true;
}
static_assert(every_row_is_whole(), "a row of the transition table is too short or missing");

}  // namespace table

constexpr std::optional<State> next_state(State state, Event event) {
  const table::Cell cell =
      table::kTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
  if (cell == table::xx_) return std::nullopt;
  return static_cast<State>(static_cast<std::uint8_t>(cell) - 1);
}

namespace table {

static_assert(next_state(State::kIdle, Event::kOffer) == State::kOffered);
static_assert(next_state(State::kRollingBack, Event::kGiveUp) == State::kFailed);
static_assert(next_state(State::kWaiting, Event::kRefuse) == State::kRefused,
              "cells and states are in step");

constexpr bool reaches(State from, bool (*wanted)(State)) {
  std::array<bool, kStateCount> seen{};
  seen[static_cast<std::size_t>(from)] = true;
  for (std::size_t round = 0; round < kStateCount; ++round)
    for (std::size_t s = 0; s < kStateCount; ++s)
      for (std::size_t e = 0; seen[s] && e < kEventCount; ++e)
        if (const auto to = next_state(static_cast<State>(s), static_cast<Event>(e)))
          seen[static_cast<std::size_t>(*to)] = true;
  for (std::size_t s = 0; s < kStateCount; ++s)
    if (seen[s] && wanted(static_cast<State>(s))) return true;
  return false;
}

constexpr bool every_state_can_end() {
  for (std::size_t s = 0; s < kStateCount; ++s)
    if (!reaches(static_cast<State>(s), is_final)) return false;
  return true;
}
static_assert(every_state_can_end(), "no order may hang for ever");

constexpr bool nothing_stops_what_has_started() {
  for (std::size_t s = 0; s < kStateCount; ++s) {
    const State state = static_cast<State>(s);
    if (is_past_no_return(state) &&
        (next_state(state, Event::kDrop) || next_state(state, Event::kRefuse)))
      return false;
  }
  return true;
}
static_assert(nothing_stops_what_has_started(), "P4.4");

}  // namespace table
}  // namespace layby::agent
