// Proves a payload before anybody gets it: applies it and compares what comes out with the target.
// Encoder only.
#pragma once

#include <stop_token>

#include "base/disk.h"

namespace layby::delta {

// An image: where it came from, and its bytes as the payload was made from them.
struct ProvedImage {
  const ReadAt* source = nullptr;  // null: there is none
  ByteSpan bytes;
};

// Of a payload as it stands in `output`. Chunks are proved apart from each other, as a car may have
// to begin with any of them: a chunk reads no target byte behind its beginning. Reads both sources
// once more: they must be what the head says. On failure the error of the first part that failed;
// once `stop` is requested it returns soon, with whatever.
Result<void> apply_and_compare(const File& output, const ProvedImage& base,
                               const ProvedImage& target, unsigned threads,
                               const std::stop_token& stop);

}  // namespace layby::delta
