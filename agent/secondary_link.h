// The way to secondaries at Unix sockets.
#pragma once

#include <map>

#include "agent/secondaries.h"
#include "agent/secondary/socket.h"
#include "base/clock.h"

namespace layby::agent {

// Addresses are paths. A connection is kept until it fails; a question is asked once anew on a new
// one if the old one turns out to be closed: each may be repeated. An ECU that let a question
// run out of time is not asked again for a while: it must not hold up everything else.
class SocketLink final : public SecondaryLink {
 public:
  // `clock` tells when an ECU's silence is over, and must outlive it; the sockets' own limits are
  // of the machine's clock, `patience` times as long where that is slow.
  explicit SocketLink(const Clock& clock, std::int64_t patience = 1)
      : clock_(clock), patience_(patience) {}
  Result<secondary::Message> ask(const std::string& address, const secondary::Message& question,
                                 std::int64_t within_ms) override;

 private:
  Result<secondary::Message> ask_now(const std::string& address, const secondary::Message& question,
                                     std::int64_t within_ms);

  const Clock& clock_;
  const std::int64_t patience_;
  std::map<std::string, secondary::Socket> open_;
  std::map<std::string, std::int64_t> silent_until_ms_;  // monotonic
};

}  // namespace layby::agent
