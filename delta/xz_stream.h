// Streams of the form .xz as SquashFS has them: one block, LZMA2 alone, checked by CRC-32.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"

namespace layby::delta {

// Of text and of dictionary: the library compresses in 4.0 MiB then; for 512 KiB it takes 6.9, for
// 1 MiB 12.6.
constexpr std::uint32_t kXzTextBytesMax = 256 * kKiB;

// How a text is compressed: as lzma_stream_buffer_encode() does, by the options of a preset but for
// the dictionary. Presets 7 to 9 are 6 with other dictionaries.
struct XzRecipe {
  static constexpr std::uint32_t kPresetMax = 6;

  std::uint32_t preset = kPresetMax;
  std::uint32_t dictionary = 0;  // as the format spells its size: 0 is 4 KiB, 12 is 256 KiB

  // A preset and 16 times the dictionary.
  std::uint32_t number() const { return preset | dictionary << 4; }
  // kBadPayload for what is none, or has a dictionary above kXzTextBytesMax.
  static Result<XzRecipe> from_number(std::uint32_t number);
};

// The whole text, if `stream` is exactly one such stream, of at most so many bytes.
std::optional<Bytes> xz_text(ByteSpan stream, std::size_t text_bytes_max);

// Fills all of `text` from exactly one such stream; kBadPayload from anything else.
Result<void> xz_expand(ByteSpan stream, MutableByteSpan text);

// Fills `stream`, exactly: kBadPayload where the text makes one of another length. The bytes depend
// on xz_version().
Result<void> xz_compress(ByteSpan text, const XzRecipe& recipe, MutableByteSpan stream);

// The dictionary that a stream's header names; nothing where there is another header.
std::optional<std::uint32_t> xz_dictionary(ByteSpan stream);

// Of the library, as lzma_version_number() says it: 50040012 is 5.4.1.
std::uint32_t xz_version();

}  // namespace layby::delta
