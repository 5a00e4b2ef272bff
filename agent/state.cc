#include "agent/state.h"

#include "base/assert.h"

namespace layby::agent {

std::string_view to_string(State state) {
  switch (state) {
    case State::kIdle: return "idle";
    case State::kOffered: return "offered";
    case State::kDownloading: return "downloading";
    case State::kDownloaded: return "downloaded";
    case State::kWaiting: return "waiting";
    case State::kInstalling: return "installing";
    case State::kActivating: return "activating";
    case State::kConfirming: return "confirming";
    case State::kRollingBack: return "rolling-back";
    case State::kFailed: return "failed";
    case State::kActive: return "active";
    case State::kDeactivated: return "deactivated";
    case State::kRefused: return "refused";
  }
  LAYBY_ASSERT(false);
}

std::optional<State> state_from(std::string_view name) {
  for (std::size_t s = 0; s < kStateCount; ++s)
    if (to_string(static_cast<State>(s)) == name) return static_cast<State>(s);
  return std::nullopt;
}

}  // namespace layby::agent
