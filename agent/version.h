// What the agent calls itself in reports and requests.
#pragma once

#include <string_view>

namespace layby::agent {

constexpr std::string_view kAgentVersion = "layby-agent/0.1.0";

}  // namespace layby::agent
