// How the ceremony's commands are spelled: `key`, `root` and `targets`.
#pragma once

#include <functional>

#include "server/cli/session.h"

namespace CLI {
class App;
}

namespace layby::cli {

// What a command does once it was given on the command line.
struct CeremonyChoices {
  std::function<void(std::function<Result<void>()>)> offline;
  std::function<void(std::function<Result<void>(Session&)>)> online;
};

void add_ceremony_commands(CLI::App& app, const CeremonyChoices& choices);

}  // namespace layby::cli
