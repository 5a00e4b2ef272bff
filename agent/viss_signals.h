// Which path of the car's VISS server stands for which signal of ours, and how its values are read.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace layby::agent {

struct VissSignal {
  std::string name;                // ours (facts.h)
  std::vector<std::string> paths;  // the first one that the car has counts; empty: it has none
  double factor = 1;               // of a number, to our unit
  std::map<std::string, std::string> values{};  // the car's value and ours; others stay as they are
  // A server that repeats a value under the time of its last change: so old it counts as one of
  // now, whenever it is said again. 0: a value is as old as its time.
  std::int64_t age_ms_max = 0;
};

// Every signal of facts.h under its own name; state of charge also as `…Current`. Doors: two rows
// of two.
std::vector<VissSignal> default_viss_signals();

// What a signal's number is multiplied by when the car sends it in `unit`: "mV" for volts, "ratio"
// for percent, "m/s" and "mph" for km/h. kInvalidArgument for a unit that is not known.
Result<double> unit_factor(std::string_view unit);

// Our value for the car's. A number that is to be converted and is none stays as it is: implausible
// is for the conditions to say.
std::string translate(const VissSignal& signal, const std::string& value);

}  // namespace layby::agent
