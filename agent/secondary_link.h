// The way to secondaries at Unix sockets.
#pragma once

#include <map>

#include "agent/secondaries.h"
#include "agent/secondary/socket.h"

namespace layby::agent {

// Addresses are paths. A connection is kept until it fails; a question is asked once anew on a new
// one if the old one turns out to be closed: each may be repeated. An ECU that let a question
// run out of time is not asked again for a while: it must not hold up everything else.
class SocketLink final : public SecondaryLink {
 public:
  Result<secondary::Message> ask(const std::string& address, const secondary::Message& question,
                                 std::int64_t within_ms) override;

 private:
  Result<secondary::Message> ask_now(const std::string& address, const secondary::Message& question,
                                     std::int64_t within_ms);

  std::map<std::string, secondary::Socket> open_;
  std::map<std::string, std::int64_t> silent_until_ms_;  // monotonic
};

}  // namespace layby::agent
