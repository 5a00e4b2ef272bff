// Runs one program of the firmware's and waits for its end (docs/embedding.md, "Hook programs").
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace layby::agent {

// A program that says so could not be asked just now (EX_TEMPFAIL of sysexits.h).
constexpr int kHookTryAgain = 75;

struct HookCall {
  std::vector<std::string> program;  // an absolute path and arguments of its own
  std::string command;               // the next argument, and LAYBY_COMMAND
  std::vector<std::string> arguments{};
  std::map<std::string, std::string> environment{};
  std::int64_t seconds_max = 120;  // then it is killed with all that it has started
};

// kUnavailable: it could not be asked, or did not end in time; `on_refusal` with what it said for
// any other exit status than 0.
Result<void> run_hook_program(const Clock& clock, const HookCall& call, ErrorCode on_refusal);

}  // namespace layby::agent
