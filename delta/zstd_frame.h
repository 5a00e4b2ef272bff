// One column packed by zstd, in the format without magic number (a payload has thousands of them).
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"

namespace layby::delta {

// `history`: bytes that the packed ones may refer to; the same must be given to unpack.
Bytes zstd_pack(ByteSpan bytes, ByteSpan history, int level);

class ZstdUnpacker {
 public:
  ZstdUnpacker();
  ~ZstdUnpacker();
  // Fills all of `out`: kBadPayload unless `packed` is exactly one frame of that many bytes.
  // Works in memory of fixed size (about 160 KiB) whatever the frame says.
  Result<void> unpack(ByteSpan packed, ByteSpan history, MutableByteSpan out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace layby::delta
