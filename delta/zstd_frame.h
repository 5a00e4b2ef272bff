// One column packed by zstd, in the format without magic number (a payload has thousands of them).
#pragma once

#include <memory>
#include <optional>

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

// Bytes of the text, where the frame says so itself.
std::optional<std::uint64_t> zstd_text_bytes(ByteSpan frame);

// Fills all of `text` from exactly one frame as RFC 8878 has it, magic number included; kBadPayload
// from anything else.
Result<void> zstd_expand(ByteSpan frame, MutableByteSpan text);

// Fills `frame`, exactly, with what the library makes of `text` at a level of 1 to 22: kBadPayload
// where that has another length. The bytes depend on zstd_version(), not on the machine or on how
// the library was built: where it would choose by that, the choice is made here.
Result<void> zstd_compress(ByteSpan text, int level, MutableByteSpan frame);

// Of the library, as ZSTD_versionNumber() says it: 10504 is 1.5.4.
std::uint32_t zstd_version();

}  // namespace layby::delta
