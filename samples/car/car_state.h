// What the simulated car is and remembers: its controls, and what it was told to run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "manifest/json.h"

namespace layby::samples {

struct ActiveFunction {
  std::string package;
  std::string sha256;
  std::string until;  // empty: unlimited
};

struct RegionSeen {
  std::uint64_t tables = 0;
  std::uint64_t rows = 0;
};

struct CarState {
  std::map<std::string, std::string> controls;  // as `layby-car set` takes them
  std::map<std::string, std::string> extra;     // signals that no control stands for, by VSS name
  std::map<std::string, ActiveFunction> functions;
  std::string software_booted;
  std::string software_confirmed;
  std::string software_sha256;  // of what is booted
  std::string map_set;
  std::map<std::string, RegionSeen> regions;
  std::vector<std::string> lines;  // on the head unit
  std::string screen = "{}";       // all of it, as the agent sent it
  std::uint64_t activations = 0;
  std::uint64_t deactivations = 0;
  std::uint64_t boots = 0;
  std::uint64_t restarts = 0;
  std::uint64_t reloads = 0;

  bool on_trial() const { return software_booted != software_confirmed; }
};

// Parked, locked, unplugged, charged: all is well.
CarState new_car();

// A name that begins with "Vehicle." is a signal of its own: any value, `none` takes it away.
// `software` is the slot that a boot loader has booted.
// kInvalidArgument for an unknown name or a value that the name does not take.
Result<void> set_control(CarState& car, const std::string& name, const std::string& value);

// The signals under their VSS names; what `missing` lists is left out.
std::map<std::string, std::string> signals(const CarState& car);

// Kept on the disk between two runs, whole or not at all.
Result<CarState> load_car(const std::string& path);  // a new car if there is no file
Result<void> save_car(const std::string& path, const CarState& car);

// What `layby-car show --json` prints.
manifest::Json describe(const CarState& car);

}  // namespace layby::samples
