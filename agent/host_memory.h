// A host's allocator, as the C interface has it: while a HostMemory lives, what this thread takes
// from the free store comes from there. Every block knows whom it goes back to, so that it may be
// released at any time, in any thread that the host's allocator allows.
//
// Destructors of libraries may need a little memory, and a failure in them would end the process.
// So a refused request of up to kMadeUpBytesMax is made up from malloc, and the call that met it
// fails when it is done; a larger one throws, which ends the call at once.
//
// It works in the shared library alone, which has a C++ runtime of its own inside: operator new of
// nobody else is touched.
#pragma once

#include <cstddef>

#include "agent/layby_agent.h"

namespace layby::agent {

constexpr std::size_t kMadeUpBytesMax = 256 * 1024;

class HostMemory {
 public:
  // Callbacks of NULL: malloc. It must outlive the object, not the blocks.
  explicit HostMemory(const layby_allocator& host);
  ~HostMemory();
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  // The host's allocator had nothing left, once or more, since this object was made.
  bool was_short() const { return was_short_; }
  void note_short() { was_short_ = true; }
  const layby_allocator& host() const { return host_; }

  // False where the library was built to use malloc alone.
  static bool is_supported();

 private:
  const layby_allocator& host_;
  HostMemory* before_;
  bool was_short_ = false;
};

}  // namespace layby::agent
