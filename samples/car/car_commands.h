// What the simulated car does when the agent asks: it really acts.
#pragma once

#include <string>

#include "base/result.h"
#include "manifest/json.h"
#include "samples/car/car_state.h"

namespace layby::samples {

// Carries out one request (`do`: activate, deactivate, boot, check, reload, restart). The error's
// text is the answer to the agent.
Result<void> carry_out(const manifest::Json& request, CarState& car);

// Turns controls, as `POST /controls` has them: an object of name and value, all of it or nothing.
Result<void> turn_controls(const std::string& body, CarState& car);

// What the agent shows on the head unit, as JSON (docs/embedding.md, "Commands through VISS").
// Whatever the page could not draw is refused.
Result<void> show_screen(const std::string& text, CarState& car);

}  // namespace layby::samples
