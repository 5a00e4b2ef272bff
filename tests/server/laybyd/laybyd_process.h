// A real `laybyd` as a child process, on loopback and a free port.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/server/http/tls_client.h"

namespace layby::tests {

// Runs `laybyd` with these arguments to its end. Standard error goes to `errors_path`.
int run_laybyd(const std::vector<std::string>& arguments, const std::string& errors_path);

// `laybyd init` with cheap keys.
void init_data(const std::string& data_dir, const std::vector<std::string>& more = {});

class LaybydProcess {
 public:
  // Starts `laybyd serve` and returns when it answers.
  explicit LaybydProcess(const std::string& data_dir);
  ~LaybydProcess();  // kills it if it still runs
  LaybydProcess(const LaybydProcess&) = delete;
  LaybydProcess& operator=(const LaybydProcess&) = delete;

  std::uint16_t port() const { return port_; }
  TlsClientOptions client() const;
  // "Authorization: Bearer …" of the first operator, with its line break.
  const std::string& operator_header() const { return operator_header_; }
  void kill_now();  // SIGKILL
  int stop();       // SIGTERM; the exit status

 private:
  int wait_for_end();

  std::string data_dir_;
  std::string operator_header_;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace layby::tests
