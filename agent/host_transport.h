// A host's way to the server, as the C interface has it. What an answer may be is checked here, as
// far as bytes come in: length, place, rate and deadline. A host that hangs without bytes hangs the
// step.
#pragma once

#include "agent/layby_agent.h"
#include "agent/transport.h"
#include "base/clock.h"

namespace layby::agent {

class HostTransport final : public Transport {
 public:
  HostTransport(const layby_transport& host, const Clock& clock) : host_(host), clock_(clock) {}
  Result<HttpResponse> exchange(const HttpRequest& request, const BodySink& sink) override;

 private:
  layby_transport host_;
  const Clock& clock_;
};

}  // namespace layby::agent
