// The simulated car as a process: one thread, one Unix socket, any number of peers.
#pragma once

#include <string>

#include "base/result.h"

namespace layby::samples {

// Serves until `stop_descriptor` becomes readable. The socket's path is taken over from a server
// that is gone.
Result<void> serve_car(const std::string& socket_path, const std::string& state_path,
                       int stop_descriptor);

}  // namespace layby::samples
