// What the daemon holds of the memory of a small computer. For the process that it owns: a host
// that embeds the library decides on its own memory itself.
#pragma once

#include <cstdint>

namespace layby::agent {

// Once, before threads and large allocations: buffers of 128 KiB and more go back to the system
// when they are freed, instead of staying behind as holes of a heap.
void return_freed_memory();

// Gives the code of the program and its libraries back to the page cache if more than this of it is
// resident; what is still needed comes back by itself, page by page. Most of it was looked at once
// only, while the libraries were joined together. Nothing that was ever written to is touched, and
// no object with relocations in its code. The medium of the program is read again for it: one that
// cannot be read any more then ends the process (SIGBUS), as it would at the next start.
void give_back_code(std::uint64_t resident_bytes_max);

}  // namespace layby::agent
