// What a car's signed report does to its orders. Nothing else that a car says moves an order.
#pragma once

#include "manifest/report.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/vehicle_state.h"

namespace layby::server {

// A car's clock may be behind by so much (it was switched off).
constexpr UnixSeconds kReportBehindSecondsMax = 3600;

// `report` is one ECU's, verified; `state` what the whole manifest says. An order that says more
// than the installed images and functions bear out is not believed, nor what is said of it at a
// time before it was ordered. One whose window is over is
// cancelled first, however late the sweep is: what comes out does not depend on who is faster.
Result<void> apply_report(CarAffairs& affairs, const manifest::EcuReport& report,
                          const VehicleState& state);

// What the car says of its functions' licences: a renewed one that it has is billed, once, and is
// wanted of it no more.
Result<void> apply_functions(CarAffairs& affairs, const VehicleState& state);

// After the first report with new keys: licences that were sealed to the old ones are made anew.
// What the car has lost with the old ones is offered to it again.
Result<void> renew_seals(CarAffairs& affairs, const VehicleState& state);

}  // namespace layby::server
