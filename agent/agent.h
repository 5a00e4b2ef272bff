// The agent: one object that the host calls from one thread. It has no threads, no globals and no
// timers of its own.
//
//   auto agent = TRY(Agent::open(disk, clock, transport, vehicle, options));
//   for (;;) {
//     const Agent::Next next = TRY(agent->step());
//     wait until next.wait_ms are over or the vehicle's descriptor is readable;
//   }
//
// `step` does a bounded amount of work: one request or one run of chunks (whose length follows the
// speed), the reading back of one image, or one step of an installation. Beside that it waits for
// other ECUs of the car for half a minute at most, and for one command of one of them; an order
// over their software waits longer (docs/secondaries.md). An error from `step` means that the state
// directory could not be written; what is on the disk is sound: drop the object and open a new one.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/car_identity.h"
#include "agent/journal.h"
#include "agent/map_wish.h"
#include "agent/network.h"
#include "agent/secondaries.h"
#include "agent/texts.h"
#include "agent/transport.h"
#include "agent/vehicle.h"
#include "base/clock.h"
#include "base/disk.h"

namespace layby::agent {

struct AgentOptions {
  std::string state_directory;
  Language language = Language::kEnglish;  // where the car does not say which
  NetworkPolicy network{};                 // roaming, data budget, Wi-Fi for maps (P2.3)
  MapPolicy maps{};                        // whether the car asks for maps by itself (P3.2)
  // The way to the car's other ECUs, where it was provisioned with such; must outlive the agent.
  SecondaryLink* secondaries = nullptr;
  // Asked between two chunks of a download: true makes `step` return soon. May be empty.
  std::function<bool()> interrupted{};
  // Called before a chunk of a payload is unpacked, which takes some MiB for a moment: a host that
  // is short of memory may give back what it can spare. May be empty.
  std::function<void()> before_unpacking{};
};

class Agent {
 public:
  // kNotFound: not provisioned; kUnauthenticated: not paired. The seams must outlive it.
  static Result<std::unique_ptr<Agent>> open(Disk& disk, const Clock& clock, Transport& transport,
                                             Vehicle& vehicle, AgentOptions options);
  ~Agent();

  struct Next {
    std::int64_t wait_ms = 0;  // until the next call, unless the car has something to say before
    bool idle = false;         // waits for time, the car or the server's next news
  };
  Result<Next> step();
  // Somebody wants to know now: the next step asks the server, and tries again what pauses, as it
  // does at a power-on (P2.4).
  void check_now();

  const Record& record() const;
  UnixSeconds trusted_now() const;

 private:
  struct State;
  explicit Agent(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace layby::agent
