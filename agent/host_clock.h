// A host's clock, as the C interface has it.
#pragma once

#include "agent/layby_agent.h"
#include "base/clock.h"

namespace layby::agent {

class HostClock final : public Clock {
 public:
  explicit HostClock(const layby_clock& host) : host_(host) {}
  UnixSeconds now() const override { return host_.unix_seconds(host_.context); }
  std::int64_t monotonic_ms() const override { return host_.monotonic_ms(host_.context); }

 private:
  layby_clock host_;
};

}  // namespace layby::agent
