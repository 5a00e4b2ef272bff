// Whether the daemon reaches the car: a small file beside the journal, for `layby-agent status`. It
// counts while the daemon runs, and nothing depends on it.
#pragma once

#include <string>

#include "agent/layout.h"
#include "base/clock.h"
#include "base/disk.h"

namespace layby::agent {

struct VehicleLink {
  bool is_connected = false;
  std::string error{};       // why it was not reached the last time; empty: it always was
  UnixSeconds since = 0;     // of `is_connected`, wall clock; 0: nobody has tried yet
  UnixSeconds next_try = 0;  // wall clock; 0 while it is connected
  bool operator==(const VehicleLink&) const = default;
};

Result<void> write_vehicle_link(Disk& disk, const Layout& layout, const VehicleLink& link);
// kNotFound if there is none, kBadJson and kBadFormat if it is no such file.
Result<VehicleLink> read_vehicle_link(Disk& disk, const Layout& layout);

}  // namespace layby::agent
