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

// Makes the next key of an online role ("director-timestamp"), to be named by a next root: the
// public part, as TUF writes it. kAlreadyExists if one waits already. The server takes it up when
// it is started again.
Result<std::string> make_next_key(const Config& config, const std::string& name);

}  // namespace layby::server
