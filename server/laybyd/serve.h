// `laybyd serve`: puts the rooms together and runs them until SIGTERM or SIGINT.
#pragma once

#include <string>

#include "server/config/config.h"

namespace layby::server {

struct ServeOptions {
  std::string port_file;  // the port that was taken is written here once all is up; may be empty
};

// Returns when the server has stopped as it was told to, or an error if it could not start. Blocks
// SIGTERM and SIGINT in the calling thread; call it before any other thread is started.
Result<void> serve(const Config& config, const ServeOptions& options);

// Everything that can be checked without starting: files of keys and certificates can be read.
Result<void> check_files(const Config& config);

}  // namespace layby::server
