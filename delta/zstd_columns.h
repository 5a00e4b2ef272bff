// CoderId::kZstdColumns. What a chunk consists of is taken apart into columns of like things, each
// column one zstd frame or stored as it is. Byte by byte: docs/formats-payload.md.
#pragma once

#include "delta/chunk_coder.h"

namespace layby::delta {

enum class Column : std::size_t {
  kNewCounts,    // varint: new bytes before a copy (or before the end)
  kCopyCounts,   // varint: bytes of the copy
  kJumps,        // varint, zigzag: alignment of the copy less that of the one before
  kGaps,         // varint: equal bytes of copies before the next difference
  kDifferences,  // the differences: a byte, or a zigzag varint for four bytes
  kNewData,      // the new bytes themselves
};
constexpr std::size_t kColumns = 6;

// Target bytes before the chunk that the new data may refer to.
constexpr std::uint64_t kHistoryBytesMax = 4 * kMiB;
// All columns but the new data, uncoded, have at most the chunk's target bytes and this many more.
constexpr std::uint64_t kColumnBytesSlack = 1024;

// What decoding holds at once: the chunk's target bytes, its payload bytes, and the larger of the
// history and of what the packed columns but the new data unpack to.
constexpr std::uint64_t kDecodingBytesMax = 8 * kMiB + 256 * kKiB;

// How wide a difference is. Values are part of the format.
enum class DifferenceWidth : std::uint8_t { kByte = 1, kWord = 4 };

Bytes encode_zstd_columns(const ChunkSource& source, const CopyList& copies, Effort effort);
std::unique_ptr<ChunkDecoder> make_zstd_columns_decoder();

}  // namespace layby::delta
