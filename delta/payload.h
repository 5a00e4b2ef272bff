// The payload container: what a delta or a full image looks like as one immutable file.
//
// "Head" = fixed header + index + tables; after it come the chunks. The signed metadata
// names the digest and the length of the head and of the whole payload; the head names the digest
// of every chunk. Byte by byte: docs/formats-payload.md. Nothing here allocates more than the head
// itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "delta/address_table.h"
#include "delta/stream_table.h"
#include "delta/view_layout.h"

namespace layby::delta {

constexpr std::size_t kPayloadHeaderBytes = 112;     // the fixed part
constexpr std::size_t kPayloadIndexEntryBytes = 72;  // one chunk
constexpr std::uint16_t kPayloadVersion = 1;

// How the bytes of a chunk are coded. Values are part of the format and never reused.
enum class CoderId : std::uint8_t {
  kZstdColumns = 1,  // columns of copies, differences and new bytes, each one zstd frame or stored
  kMixed = 2,        // one arithmetically coded sequence, addresses predicted, contexts mixed
};
const char* to_string(CoderId coder);

// A library whose version decides about the bytes that it makes: what a payload needs of one, only
// that version can make.
struct ReEncoder {
  std::string name;     // "zstd", "liblzma"
  std::string version;  // "1.5.4"

  bool operator==(const ReEncoder&) const = default;
};
// What this build has.
std::vector<ReEncoder> available_re_encoders();

// One chunk: which bytes of the target it makes, from which bytes of the payload.
struct ChunkEntry {
  std::uint64_t target_offset = 0;
  std::uint64_t payload_offset = 0;  // from the first byte of the payload file
  std::uint32_t target_bytes = 0;
  std::uint32_t payload_bytes = 0;
  crypto::Digest256 payload_digest{};  // BLAKE2b-256 of the chunk's bytes in the payload
  crypto::Digest256 target_digest{};   // BLAKE2b-256 of the target bytes that it makes
};

struct BaseName {
  std::uint64_t bytes = 0;
  crypto::Digest256 sha256{};
};

// A head whose structure was checked: ranges follow each other without gap or overlap, sums are
// right, every limit is kept. That says nothing about who made it: compare the SHA-256 of the head
// bytes with the signed one before parsing.
class PayloadHead {
 public:
  std::uint16_t version() const { return kPayloadVersion; }
  CoderId coder() const { return coder_; }
  std::uint64_t head_bytes() const { return head_bytes_; }
  std::uint64_t payload_bytes() const;  // the whole file, head included
  std::uint64_t target_bytes() const { return target_bytes_; }
  const crypto::Digest256& target_sha256() const { return target_sha256_; }
  // Nothing: a full image, applied without a base.
  const std::optional<BaseName>& base() const { return base_; }
  // Where addresses stand in the views of base and target; empty unless the coder predicts them.
  const AddressTable& addresses() const { return addresses_; }
  // Streams that are seen through, and the views that they make of base and target; no stream of
  // the target has pieces in two chunks.
  const StreamTable& streams() const { return streams_; }
  const ViewLayers& base_view() const { return base_view_; }
  const ViewLayers& target_view() const { return target_view_; }
  // What an applier must have; none unless the payload makes streams again with a library.
  std::vector<ReEncoder> re_encoders() const;
  // No chunk makes more target bytes than this.
  std::uint32_t chunk_target_bytes_max() const { return chunk_target_bytes_max_; }

  std::uint32_t chunk_count() const { return static_cast<std::uint32_t>(chunks_.size()); }
  const ChunkEntry& chunk(std::uint32_t index) const;
  const std::vector<ChunkEntry>& chunks() const { return chunks_; }
  // The bytes of the target's view that a chunk makes, at most kChunkTargetBytesMax; with streams
  // kStreamChunkBytesMax, as those of the target.
  struct ViewRange {
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
  };
  ViewRange chunk_view(std::uint32_t index) const;
  // What a buffer for any of the chunks must hold; 0 without chunks. A buffer that grows from chunk
  // to chunk instead would come to hold up to twice as much.
  std::uint32_t largest_chunk_target_bytes() const;
  std::uint32_t largest_chunk_payload_bytes() const;

 private:
  friend class PayloadHeadBuilder;
  friend Result<PayloadHead> parse_head(ByteSpan bytes);
  PayloadHead() = default;
  Result<void> parse_tables(ByteSpan bytes, bool has_streams);
  Result<void> check_streams() const;

  CoderId coder_ = CoderId::kZstdColumns;
  std::uint64_t target_bytes_ = 0;
  crypto::Digest256 target_sha256_{};
  std::optional<BaseName> base_;
  std::uint32_t chunk_target_bytes_max_ = 0;
  std::vector<ChunkEntry> chunks_;
  std::uint64_t head_bytes_ = 0;
  AddressTable addresses_;
  StreamTable streams_;
  ViewLayers base_view_;
  ViewLayers target_view_;
};

// How long the head is, learned from the first kPayloadHeaderBytes bytes of a payload (more may be
// given). kBadPayload if they are no header or too few, kUnsupported for a version that we do not
// know, kTooLarge above kPayloadHeadBytesMax.
Result<std::uint64_t> head_length(ByteSpan first_bytes);

// Parses and checks exactly the head: kBadPayload if bytes are missing or left over, if a range,
// sum or reserved byte is wrong; kUnsupported for an unknown version or coder; kTooLarge above a
// limit.
Result<PayloadHead> parse_head(ByteSpan bytes);

// Reads and parses the head of a payload file, and checks that the file is as long as it says.
Result<PayloadHead> read_head(const ReadAt& payload);

// Writes heads. The encoder's half of `parse_head`.
class PayloadHeadBuilder {
 public:
  // `chunk_count` and the tables fix the length of the head and with it where the first chunk
  // begins.
  PayloadHeadBuilder(CoderId coder, std::uint32_t chunk_target_bytes_max, std::uint32_t chunk_count,
                     const AddressTable& addresses = {}, const StreamTable& streams = {});
  void set_base(const BaseName& base);
  void set_target(std::uint64_t bytes, const crypto::Digest256& sha256);
  // Chunks in order; returns where in the payload this one's bytes belong.
  std::uint64_t add_chunk(std::uint32_t target_bytes, std::uint32_t payload_bytes,
                          const crypto::Digest256& payload_digest,
                          const crypto::Digest256& target_digest);
  // Call after the last chunk.
  Bytes serialise() const;

 private:
  std::uint32_t tables_bytes() const;

  PayloadHead head_;
  std::uint32_t chunk_count_;
  Bytes address_table_;
  Bytes stream_table_;
  std::uint64_t target_end_ = 0;
  std::uint64_t payload_end_ = 0;
};

}  // namespace layby::delta
