// What a VISS version 2 server does for one client: get, set, subscribe with every filter that
// starts an event and without one, unsubscribe, what it is capable of, errors. It records nothing
// and knows no tree: history and static metadata are answered with the specification's errors.
// Pure: texts in, texts out; who owns the values and the time gives them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/viss_message.h"

namespace layby::samples {

struct Leaf {
  std::string value;
  std::int64_t at_ms = 0;  // since 1970
  bool operator==(const Leaf&) const = default;
};
using Leaves = std::map<std::string, Leaf>;  // by path

class VissSession {
 public:
  // Carries out a set; an error is the client's answer.
  using Setter = std::function<std::optional<agent::VissError>(const std::string& path,
                                                               const std::string& value)>;

  // The answer to one message.
  std::string answer(std::string_view text, const Leaves& leaves, const Setter& set,
                     std::int64_t now_ms);
  // The events that are due now. To be called after each change and at `next_due_ms`.
  std::vector<std::string> events(const Leaves& leaves, std::int64_t now_ms);
  // Of timebased and curve-logging subscriptions; the largest number if there is none.
  std::int64_t next_due_ms() const;

 private:
  struct Subscription {
    agent::VissRequest request;
    std::string trigger;      // the path whose value decides
    std::string last;         // its value when it was looked at last
    std::int64_t due_ms = 0;  // next interval
    std::map<std::string, std::vector<agent::VissPoint>> curves{};  // collected, by path
    Leaves seen{};  // without a filter: what was an event already
  };

  agent::VissAnswer respond(const agent::VissRequest& request, const Leaves& leaves,
                            const Setter& set, std::int64_t now_ms);
  agent::VissAnswer get(const agent::VissRequest& request, const Leaves& leaves);
  agent::VissAnswer subscribe(const agent::VissRequest& request, const Leaves& leaves,
                              std::int64_t now_ms);
  std::vector<agent::VissPoint> due_points(Subscription& subscription, const Leaves& leaves,
                                           std::int64_t now_ms);

  std::map<std::string, Subscription> subscriptions_;  // by id
  std::uint64_t last_id_ = 0;
};

// Points that the straight lines between the others miss by more than `error_max` stay (CORE,
// "Curve logging Filter Operation").
std::vector<agent::VissPoint> thin_out(const std::vector<agent::VissPoint>& curve,
                                       double error_max);

}  // namespace layby::samples
