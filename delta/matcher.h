// The matcher: chooses by estimated coded cost which target bytes are copied from where.
#pragma once

#include <stop_token>

#include "base/bytes.h"
#include "delta/copy.h"
#include "delta/seeds.h"

namespace layby::delta {

// Copies for target[begin, end). A shortest-path search over the positions of the range: at each
// byte the cheapest way to have got there is known for every alignment (distance between base and
// target) that is alive, and for "new bytes". Seeds bring alignments to life; a newcomer is first
// followed backwards over scattered differences to where it would have paid to switch to it.
// Ranges are independent of each other: threads may work on several at once. Once `stop` is
// requested it returns soon, with whatever: the caller looks at the token.
CopyList match(ByteSpan base, ByteSpan target, std::size_t begin, std::size_t end,
               const Seeds& seeds, std::stop_token stop);

}  // namespace layby::delta
