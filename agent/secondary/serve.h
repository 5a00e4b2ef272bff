// A secondary at its socket: one primary at a time, one message at a time.
#pragma once

#include <cstdint>

#include "agent/secondary/secondary.h"
#include "agent/secondary/socket.h"

namespace layby::secondary {

struct ServeLimits {
  std::int64_t message_ms = 10'000;  // from its first byte to its last, and for an answer
  std::int64_t idle_ms = 120'000;    // a connection on which nobody asks anything is closed
};

// Until `stop_descriptor` is readable. A connection that breaks the rules is closed; whoever comes
// while another one is idle takes its place, so that nobody can sit on the only chair.
Result<void> serve(Secondary& ecu, const Socket& listener, int stop_descriptor,
                   const ServeLimits& limits = {});

}  // namespace layby::secondary
