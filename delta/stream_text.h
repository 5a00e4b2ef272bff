// From a compressed stream to its text. What comes out depends on the stream alone, not on the
// version of a library.
#pragma once

#include <functional>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "delta/streams.h"

namespace layby::delta {

// Bytes of a form before and behind its deflate stream.
std::size_t header_bytes(StreamForm form);
std::size_t trailer_bytes(StreamForm form);

// Gives the next bytes of a stream, at most `most` and at least one; they stay valid until the next
// call.
using StreamSource = std::function<Result<ByteSpan>(std::size_t most)>;

// Fills all of `text` from a stream of `stream_bytes` bytes. kBadPayload unless it is exactly one
// stream of that text; what a form has around deflate is not looked at. Works in 64 KiB for
// deflate; a stream of zstd or xz is held whole.
Result<void> expand_stream(StreamForm form, std::uint64_t stream_bytes, const StreamSource& source,
                           MutableByteSpan text);

// What came of expanding a raw deflate stream that may begin where `bytes` do.
struct DeflateAttempt {
  std::size_t stream_bytes = 0;  // 0: there is none, or its text is longer than allowed
  std::size_t looked_at_bytes = 0;
  Bytes text;  // all of it, or what was made before that showed
};
DeflateAttempt try_deflate(ByteSpan bytes, std::size_t text_bytes_max);

// The whole text, if `stream` is exactly one stream, of at most so many bytes. For where the length
// shows only now.
std::optional<Bytes> text_of_stream(StreamForm form, ByteSpan stream, std::size_t text_bytes_max);

std::uint32_t crc32(ByteSpan bytes);    // of gzip
std::uint32_t adler32(ByteSpan bytes);  // of zlib

}  // namespace layby::delta
