// A host of the C interface: the world's disk, clock, server and car, all as callbacks in C.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "agent/layby_agent.h"
#include "tests/agent/world.h"

namespace layby::tests {

class CHost {
 public:
  explicit CHost(World& world);
  ~CHost() { close(); }
  CHost(const CHost&) = delete;
  CHost& operator=(const CHost&) = delete;

  World& world;
  layby_options options{};  // for the next `open`

  int open();
  void close();
  // Steps until nothing is to be done for `seconds`, or until `done`; the result of the last step.
  int run(std::int64_t seconds, const std::function<bool()>& done = {});
  int exit_and_lock();

  layby_agent* agent = nullptr;
  std::string error;              // of `open`
  std::vector<std::string> log;   // "!" in front of errors
  std::int64_t wait_ms_last = 0;  // of the last step

  // The allocator.
  std::size_t blocks = 0, bytes_taken = 0;  // outstanding; ever
  std::uint64_t requests = 0;
  std::uint64_t fail_request = 0;  // that one, and no other, gets nothing; 0: none
  // The transport: instead of the world's server, where set.
  std::function<int(const layby_request&, layby_answer*)> exchange;

 private:
  void give_certificate();
  void give_disk();
  void give_vehicle();
  void give_the_rest();
};

}  // namespace layby::tests
