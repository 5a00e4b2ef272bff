// The daemon's way to the car: an address on the command line, or a file in TOML with everything
// (docs/embedding.md, "The car's configuration").
#pragma once

#include <string>

#include "agent/hook_vehicle.h"
#include "agent/viss_vehicle.h"
#include "base/disk.h"

namespace layby::agent {

struct VehicleConfig {
  VissOptions viss;
  HookOptions hooks{};
};

// wss://HOST:PORT, ws:// to this machine itself, or unix:PATH: VISS over a Unix socket.
Result<VehicleConfig> vehicle_at(const std::string& address);
// As `--vehicle` takes it: one of these addresses, or config:FILE.
Result<VehicleConfig> vehicle_from(Disk& disk, const std::string& choice);
// Of a file. kInvalidArgument names the key; one that is not known is an error, and so is a file or
// a program that it names and that is not there: errors as read_file then. `disk` must outlive what
// is made of it: the token is read anew at each connection.
Result<VehicleConfig> read_vehicle_config(Disk& disk, const std::string& path);

}  // namespace layby::agent
