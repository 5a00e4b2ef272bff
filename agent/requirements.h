// What an order asks of the car before it begins: what its images say, and the energy that the
// installation needs, together with a roll-back that may follow it.
#pragma once

#include <set>
#include <string>

#include "agent/record.h"

namespace layby::agent {

// The energy for there and back: the installation may take as long as was shown, and a roll-back as
// long again. For both together the car is awake.
//   traction battery    one percent for every ten minutes begun, and the band of the hysteresis on
//                       top, so that an armed order never falls below it; or what the package asks
//                       for, where that is more
//   low-voltage battery 12.0 V at rest up to ten minutes, 12.2 V up to an hour, then 12.4 V
Requirements requirements_of(const OrderRecord& order, const Record& record);

// Reads the conditions of all images into `order.demands`, each once: when the order comes, and
// when the journal is read, but not at every look at the car.
void note_demands(OrderRecord& order);

// The signals that the orders' packages ask about in conditions of their own.
std::set<std::string> signals_of_packages(const Record& record);

// Everything that stands against it, by the names that `status` gives.
std::vector<std::string> names_of(const std::vector<Reason>& reasons,
                                  const Requirements& requirements);

}  // namespace layby::agent
