// What the simulated car does when the agent asks: it really acts.
#pragma once

#include "base/result.h"
#include "manifest/json.h"
#include "samples/car/car_state.h"

namespace layby::samples {

// Carries out one request (`do`: activate, deactivate, boot, check, reload, display). The error's
// text is the answer to the agent.
Result<void> carry_out(const manifest::Json& request, CarState& car);

}  // namespace layby::samples
