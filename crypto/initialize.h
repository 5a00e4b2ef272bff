// Call once at the start of a program, before other threads: libsodium then picks the
// implementations that suit this CPU. Without it everything is correct, but slow.
#pragma once

namespace layby::crypto {

void initialize();

}  // namespace layby::crypto
