// The simulated car as a process: one thread, any number of peers over a Unix socket and, where a
// port is wanted, over TCP of this machine. Each may ask for the page and turn the controls over
// HTTP, or speak VISS version 2 over a WebSocket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace layby::samples {

struct CarPlace {
  std::string socket_path;
  std::string state_path;
  std::optional<std::uint16_t> port{};  // of 127.0.0.1; 0: any that is free
  std::string port_file{};              // the port is written there, once it listens
};

// Serves until `stop_descriptor` becomes readable. The socket's path is taken over from a server
// that is gone.
Result<void> serve_car(const CarPlace& place, int stop_descriptor);

}  // namespace layby::samples
