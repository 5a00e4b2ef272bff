// What those who run the server ask it: liveness, readiness, metrics, and in simulation mode the
// clock.
#pragma once

#include <atomic>

#include "base/clock.h"
#include "server/http/router.h"
#include "server/metrics/metrics.h"
#include "server/services.h"

namespace layby::server {

// All references must outlive the router. `accepting` is false before all is up and while the
// server is shutting down: a load balancer then looks elsewhere.
void add_operations_routes(Router& router, const Services& services, const Metrics& metrics,
                           const std::atomic<bool>& accepting);

// POST /v1/simulation/clock, for operators. The shift is stored before it takes effect, so that a
// restart does not take time back.
void add_simulation_routes(Router& router, const Services& services, ShiftedClock& clock);

// At start. Simulation on: how far the clock was moved forward. Simulation off: kConflict if it
// ever was, because what was signed then lies in the future.
Result<std::int64_t> stored_clock_shift(const Store& store, Simulation simulation);

}  // namespace layby::server
