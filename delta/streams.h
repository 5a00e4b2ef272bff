// Compressed streams inside images: members of archives, blocks of file systems. A payload lists
// those of base and target that both sides see through; what stands for a stream then is its text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"

namespace layby::delta {

// How a stream is spelt. Values are part of the format and never reused.
enum class StreamForm : std::uint8_t {
  kDeflate = 1,  // RFC 1951
  kGzip = 2,     // RFC 1952 from behind the header on: deflate, CRC-32, length
  kZlib = 3,     // RFC 1950
  kZstd = 4,     // RFC 8878: one frame
  kXz = 5,       // one .xz stream as SquashFS has it (xz_stream.h)
};
constexpr std::uint8_t kStreamFormMax = 5;

// Limits of one payload. Texts are held in memory whole, by the car too.
constexpr std::size_t kStreamsMax = 8192;        // of base and target each, inner ones included
constexpr std::size_t kStreamPiecesMax = 16384;  // of all streams of an image
constexpr std::uint32_t kStreamTextBytesMax = 1 * kMiB;
// Of a target stream of zstd: its compressor takes 2.5 MiB for 1 MiB at level 4, for 256 KiB at
// most 5.3, but 17 for 1 MiB at the upper levels.
constexpr std::uint32_t zstd_text_bytes_max(std::uint32_t level) {
  return level <= 4 ? kStreamTextBytesMax : 256 * kKiB;
}
// Bytes of target and of view that a chunk of a payload with streams makes at most: the car holds
// both.
constexpr std::uint32_t kStreamChunkBytesMax = 2 * kMiB;
constexpr std::uint32_t kStreamBytesMax = kStreamTextBytesMax + 64 * kKiB;
// Of a stream within texts: the car holds it whole while texts that it stands in are expanded.
constexpr std::uint32_t kInnerStreamBytesMax = 512 * kKiB;
constexpr std::size_t kStreamTableBytesMax =
    192 * kKiB;  // packed; unpacked at most four times that

// Streams may stand within streams: a gzip member in a block of a file system that is compressed
// itself. Outer ones stand in the image, inner ones in the view that the outer ones make of it.
enum class Layer { kOuter, kInner };

// Bytes of an image. A file system may store a file, and so a stream, in several.
struct StreamPiece {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;

  std::uint64_t end() const { return offset + bytes; }
};

struct Stream {
  StreamForm form = StreamForm::kDeflate;
  std::uint32_t bytes = 0;       // of all its pieces
  std::uint32_t text_bytes = 0;  // 1 to kStreamTextBytesMax
  std::uint32_t recipe = 0;      // how the text is compressed again; 0 in the base
  std::uint32_t pieces_begin = 0;
  std::uint32_t pieces_count = 0;
};

// The streams of one image, in order of their first pieces' offsets; no two pieces overlap.
class StreamList {
 public:
  void add(Stream stream, std::span<const StreamPiece> pieces);

  bool empty() const { return streams_.empty(); }
  std::size_t size() const { return streams_.size(); }
  const Stream& operator[](std::size_t index) const { return streams_[index]; }
  std::span<const StreamPiece> pieces(const Stream& stream) const {
    return std::span(pieces_).subspan(stream.pieces_begin, stream.pieces_count);
  }
  std::size_t pieces_size() const { return pieces_.size(); }

 private:
  std::vector<Stream> streams_;
  std::vector<StreamPiece> pieces_;
};

}  // namespace layby::delta
