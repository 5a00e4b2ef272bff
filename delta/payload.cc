#include "delta/payload.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/limits.h"
#include "delta/xz_stream.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

// The first byte is no ASCII and the line end is spelt out, so that a transfer as text is noticed.
constexpr std::uint8_t kMagic[8] = {0x89, 'L', 'A', 'Y', 'B', 'Y', '\r', '\n'};

constexpr std::uint8_t kFlagHasBase = 1;
constexpr std::uint8_t kFlagHasStreams = 2;
constexpr std::size_t kStreamTableLengthBytes = 4;
constexpr std::size_t kTablesBytesMax =
    kStreamTableLengthBytes + kStreamTableBytesMax + kAddressTableBytesMax;

// Offsets of the fields of the header.
constexpr std::size_t kAtVersion = 8;
constexpr std::size_t kAtCoder = 10;
constexpr std::size_t kAtFlags = 11;
constexpr std::size_t kAtChunkTargetBytesMax = 12;
constexpr std::size_t kAtTargetBytes = 16;
constexpr std::size_t kAtBaseBytes = 24;
constexpr std::size_t kAtPayloadBytes = 32;
constexpr std::size_t kAtChunkCount = 40;
constexpr std::size_t kAtTablesBytes = 44;
constexpr std::size_t kAtTargetSha256 = 48;
constexpr std::size_t kAtBaseSha256 = 80;
static_assert(kAtBaseSha256 + 32 == kPayloadHeaderBytes);
static_assert(kPayloadHeaderBytes + kPayloadChunksMax * kPayloadIndexEntryBytes + kTablesBytesMax <=
              kPayloadHeadBytesMax);

crypto::Digest256 load_digest(const std::uint8_t* from) {
  crypto::Digest256 digest;
  std::copy_n(from, digest.size(), digest.begin());
  return digest;
}

void append(Bytes& to, ByteSpan bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

bool is_known(std::uint8_t coder) {
  return coder == static_cast<std::uint8_t>(CoderId::kZstdColumns) ||
         coder == static_cast<std::uint8_t>(CoderId::kMixed);
}

ReEncoder zstd_re_encoder(std::uint32_t version) {
  return {"zstd", fmt::format("{}.{}.{}", version / 10'000, version / 100 % 100, version % 100)};
}

ReEncoder xz_re_encoder(std::uint32_t version) {
  return {"liblzma", fmt::format("{}.{}.{}", version / 10'000'000, version / 10'000 % 1000,
                                 version / 10 % 1000)};
}

struct HeadShape {
  std::uint32_t chunks;
  std::uint32_t tables_bytes;

  std::uint64_t index_end() const {
    return kPayloadHeaderBytes + std::uint64_t{chunks} * kPayloadIndexEntryBytes;
  }
  std::uint64_t bytes() const { return index_end() + tables_bytes; }
};

// Checks what can be known from the header alone.
Result<HeadShape> check_header(ByteSpan bytes) {
  if (bytes.size() < kPayloadHeaderBytes)
    return fail(ErrorCode::kBadPayload, "payload header: {} bytes of {}", bytes.size(),
                kPayloadHeaderBytes);
  if (std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    return fail(ErrorCode::kBadPayload, "not a payload: it does not begin with the magic bytes");
  if (const std::uint16_t version = load_u16(&bytes[kAtVersion]); version != kPayloadVersion)
    return fail(ErrorCode::kUnsupported, "payload version {}, this build knows {}", version,
                kPayloadVersion);
  if (!is_known(bytes[kAtCoder]))
    return fail(ErrorCode::kUnsupported, "payload coder {} is not known to this build",
                bytes[kAtCoder]);
  if ((bytes[kAtFlags] & ~(kFlagHasBase | kFlagHasStreams)) != 0)
    return fail(ErrorCode::kBadPayload, "payload header: a reserved bit is set");
  const HeadShape shape{load_u32(&bytes[kAtChunkCount]), load_u32(&bytes[kAtTablesBytes])};
  if (shape.chunks > kPayloadChunksMax)
    return fail(ErrorCode::kTooLarge, "payload header: {} chunks, at most {} are allowed",
                shape.chunks, kPayloadChunksMax);
  if (shape.tables_bytes > kTablesBytesMax)
    return fail(ErrorCode::kTooLarge, "payload header: tables of {} bytes, at most {}",
                shape.tables_bytes, kTablesBytesMax);
  const bool may_have_tables = bytes[kAtCoder] == static_cast<std::uint8_t>(CoderId::kMixed);
  if (!may_have_tables && (shape.tables_bytes != 0 || (bytes[kAtFlags] & kFlagHasStreams) != 0))
    return fail(ErrorCode::kBadPayload, "payload header: this coder has no tables");
  return shape;
}

// Each stream's pieces lie in one chunk; `ends` are those of the chunks in what has the streams.
Result<void> check_pieces(const ViewLayout& layout, const std::vector<std::uint64_t>& ends) {
  constexpr std::size_t kNoChunk = ~std::size_t{0};
  std::vector<std::size_t> chunk_of;
  std::size_t index = 0;
  for (const ViewLayout::Cut& cut : layout.cuts()) {
    while (cut.image_offset >= ends[index]) ++index;
    if (cut.stream >= chunk_of.size()) chunk_of.resize(cut.stream + 1, kNoChunk);
    std::size_t& known = chunk_of[cut.stream];
    if (known == kNoChunk) known = index;
    if (known != index || cut.image_end() > ends[index])
      return fail(ErrorCode::kBadPayload, "payload head: stream {} has pieces in two chunks",
                  cut.stream);
  }
  return {};
}

}  // namespace

const char* to_string(CoderId coder) {
  switch (coder) {
    case CoderId::kZstdColumns: return "zstd-columns";
    case CoderId::kMixed: return "mixed";
  }
  return "unknown";
}

std::uint64_t PayloadHead::payload_bytes() const {
  return chunks_.empty() ? head_bytes()
                         : chunks_.back().payload_offset + chunks_.back().payload_bytes;
}

const ChunkEntry& PayloadHead::chunk(std::uint32_t index) const {
  LAYBY_ASSERT(index < chunks_.size());
  return chunks_[index];
}

PayloadHead::ViewRange PayloadHead::chunk_view(std::uint32_t index) const {
  const ChunkEntry& entry = chunk(index);
  const std::uint64_t begin = target_view_.view_offset(entry.target_offset);
  const std::uint64_t end = target_view_.view_offset(entry.target_offset + entry.target_bytes);
  return {begin, static_cast<std::uint32_t>(end - begin)};
}

std::vector<ReEncoder> PayloadHead::re_encoders() const {
  std::vector<ReEncoder> needed;
  if (streams_.zstd_version != 0) needed.push_back(zstd_re_encoder(streams_.zstd_version));
  if (streams_.xz_version != 0) needed.push_back(xz_re_encoder(streams_.xz_version));
  return needed;
}

std::vector<ReEncoder> available_re_encoders() {
  return {zstd_re_encoder(zstd_version()), xz_re_encoder(xz_version())};
}

std::uint32_t PayloadHead::largest_chunk_target_bytes() const {
  std::uint32_t bytes = 0;
  for (const ChunkEntry& chunk : chunks_) bytes = std::max(bytes, chunk.target_bytes);
  return bytes;
}

std::uint32_t PayloadHead::largest_chunk_payload_bytes() const {
  std::uint32_t bytes = 0;
  for (const ChunkEntry& chunk : chunks_) bytes = std::max(bytes, chunk.payload_bytes);
  return bytes;
}

Result<std::uint64_t> head_length(ByteSpan first_bytes) {
  return TRY(check_header(first_bytes)).bytes();
}

Result<PayloadHead> parse_head(ByteSpan bytes) {
  const HeadShape shape = TRY(check_header(bytes));
  const std::uint64_t length = shape.bytes();
  if (bytes.size() != length)
    return fail(ErrorCode::kBadPayload, "payload head: {} bytes given, it has {}", bytes.size(),
                length);
  PayloadHead head;
  head.head_bytes_ = length;
  head.coder_ = static_cast<CoderId>(bytes[kAtCoder]);
  head.chunk_target_bytes_max_ = load_u32(&bytes[kAtChunkTargetBytesMax]);
  if (head.chunk_target_bytes_max_ == 0 || head.chunk_target_bytes_max_ > kChunkTargetBytesMax)
    return fail(ErrorCode::kTooLarge, "payload header: chunks of {} target bytes, at most {}",
                head.chunk_target_bytes_max_, kChunkTargetBytesMax);
  head.target_bytes_ = load_u64(&bytes[kAtTargetBytes]);
  head.target_sha256_ = load_digest(&bytes[kAtTargetSha256]);
  const BaseName base{load_u64(&bytes[kAtBaseBytes]), load_digest(&bytes[kAtBaseSha256])};
  if (head.target_bytes_ > kImageBytesMax || base.bytes > kImageBytesMax)
    return fail(ErrorCode::kTooLarge, "payload header: an image of more than {} bytes",
                kImageBytesMax);
  if ((bytes[kAtFlags] & kFlagHasBase) != 0)
    head.base_ = base;
  else if (base.bytes != 0 || base.sha256 != crypto::Digest256{})
    return fail(ErrorCode::kBadPayload, "payload header: it names a base and says it has none");

  std::uint64_t target_end = 0;
  std::uint64_t payload_end = length;
  head.chunks_.reserve(shape.chunks);
  for (std::size_t at = kPayloadHeaderBytes; at < shape.index_end();
       at += kPayloadIndexEntryBytes) {
    ChunkEntry chunk;
    chunk.target_offset = target_end;
    chunk.target_bytes = load_u32(&bytes[at]);
    chunk.payload_offset = payload_end;
    chunk.payload_bytes = load_u32(&bytes[at + 4]);
    chunk.payload_digest = load_digest(&bytes[at + 8]);
    chunk.target_digest = load_digest(&bytes[at + 40]);
    if (chunk.target_bytes == 0 || chunk.target_bytes > head.chunk_target_bytes_max_)
      return fail(ErrorCode::kBadPayload, "payload index: chunk {} has {} target bytes",
                  head.chunks_.size(), chunk.target_bytes);
    if (chunk.payload_bytes == 0 || chunk.payload_bytes > kChunkPayloadBytesMax)
      return fail(ErrorCode::kBadPayload, "payload index: chunk {} has {} bytes",
                  head.chunks_.size(), chunk.payload_bytes);
    target_end += chunk.target_bytes;  // cannot overflow: 2^14 chunks of 2^22 bytes
    payload_end += chunk.payload_bytes;
    head.chunks_.push_back(chunk);
  }
  if (target_end != head.target_bytes_)
    return fail(ErrorCode::kBadPayload, "payload index: chunks make {} bytes, the target has {}",
                target_end, head.target_bytes_);
  if (payload_end != load_u64(&bytes[kAtPayloadBytes]))
    return fail(ErrorCode::kBadPayload, "payload index: chunks end at {}, the payload at {}",
                payload_end, load_u64(&bytes[kAtPayloadBytes]));
  TRY_VOID(head.parse_tables(bytes.subspan(shape.index_end()),
                             (bytes[kAtFlags] & kFlagHasStreams) != 0));
  return head;
}

// Streams first: addresses stand in the views.
Result<void> PayloadHead::parse_tables(ByteSpan bytes, bool has_streams) {
  const std::uint64_t base_bytes = base_ ? base_->bytes : 0;
  base_view_ = ViewLayout(base_bytes);
  target_view_ = ViewLayout(target_bytes_);
  if (has_streams) {
    if (bytes.size() < kStreamTableLengthBytes)
      return fail(ErrorCode::kBadPayload, "payload head: the stream table is cut off");
    const std::uint32_t length = load_u32(bytes.data());
    bytes = bytes.subspan(kStreamTableLengthBytes);
    if (length == 0 || length > bytes.size() || length > kStreamTableBytesMax)
      return fail(ErrorCode::kBadPayload, "payload head: a stream table of {} bytes", length);
    streams_ = TRY(parse_stream_table(bytes.first(length)));
    bytes = bytes.subspan(length);
    base_view_ = TRY(ViewLayers::create(base_bytes, streams_.base, streams_.inner_base));
    target_view_ = TRY(ViewLayers::create(target_bytes_, streams_.target, streams_.inner_target));
    TRY_VOID(check_streams());
  }
  if (bytes.size() > kAddressTableBytesMax)
    return fail(ErrorCode::kTooLarge, "payload header: an address table of {} bytes, at most {}",
                bytes.size(), kAddressTableBytesMax);
  addresses_ = TRY(parse_address_table(bytes, base_view_.view_bytes(), target_view_.view_bytes()));
  return {};
}

// No stream in two chunks, and no chunk with more in its views than a car can hold.
Result<void> PayloadHead::check_streams() const {
  std::vector<std::uint64_t> ends;
  for (const ChunkEntry& chunk : chunks_) ends.push_back(chunk.target_offset + chunk.target_bytes);
  for (const ViewLayout* layout : {&target_view_.outer, &target_view_.inner}) {
    TRY_VOID(check_pieces(*layout, ends));
    std::uint64_t begin = 0;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      ends[i] = layout->view_offset(ends[i]);
      if (ends[i] - begin > kStreamChunkBytesMax)
        return fail(ErrorCode::kTooLarge,
                    "payload head: chunk {} has {} bytes in a view, at most {} with streams", i,
                    ends[i] - begin, kStreamChunkBytesMax);
      begin = ends[i];
    }
  }
  for (std::size_t i = 0; i < chunks_.size(); ++i)
    if (chunks_[i].target_bytes > kStreamChunkBytesMax ||
        chunks_[i].payload_bytes > kStreamChunkBytesMax + 64 * kKiB)
      return fail(ErrorCode::kTooLarge,
                  "payload head: chunk {} has {} target bytes and {} payload bytes with streams", i,
                  chunks_[i].target_bytes, chunks_[i].payload_bytes);
  return {};
}

Result<PayloadHead> read_head(const ReadAt& payload) {
  Bytes bytes(std::min<std::uint64_t>(kPayloadHeaderBytes, payload.size()));
  TRY_VOID(payload.read_at(0, bytes));
  const std::uint64_t length = TRY(head_length(bytes));
  if (length > payload.size())
    return fail(ErrorCode::kBadPayload, "payload is cut off in its head: {} bytes of {}",
                payload.size(), length);
  bytes.resize(length);
  TRY_VOID(payload.read_at(0, bytes));
  PayloadHead head = TRY(parse_head(bytes));
  if (payload.size() < head.payload_bytes())
    return fail(ErrorCode::kBadPayload, "payload is cut off: {} bytes of {}", payload.size(),
                head.payload_bytes());
  if (payload.size() > head.payload_bytes())
    return fail(ErrorCode::kBadPayload, "payload has {} bytes after its end at {}",
                payload.size() - head.payload_bytes(), head.payload_bytes());
  return head;
}

PayloadHeadBuilder::PayloadHeadBuilder(CoderId coder, std::uint32_t chunk_target_bytes_max,
                                       std::uint32_t chunk_count, const AddressTable& addresses,
                                       const StreamTable& streams)
    : chunk_count_(chunk_count),
      address_table_(serialise_address_table(addresses)),
      stream_table_(serialise_stream_table(streams)) {
  LAYBY_ASSERT(chunk_count <= kPayloadChunksMax && address_table_.size() <= kAddressTableBytesMax &&
               stream_table_.size() <= kStreamTableBytesMax);
  payload_end_ =
      kPayloadHeaderBytes + std::uint64_t{chunk_count} * kPayloadIndexEntryBytes + tables_bytes();
  head_.head_bytes_ = payload_end_;
  head_.coder_ = coder;
  head_.chunk_target_bytes_max_ = chunk_target_bytes_max;
  head_.chunks_.reserve(chunk_count);
}

void PayloadHeadBuilder::set_base(const BaseName& base) {
  head_.base_ = base;
}

void PayloadHeadBuilder::set_target(std::uint64_t bytes, const crypto::Digest256& sha256) {
  head_.target_bytes_ = bytes;
  head_.target_sha256_ = sha256;
}

std::uint64_t PayloadHeadBuilder::add_chunk(std::uint32_t target_bytes, std::uint32_t payload_bytes,
                                            const crypto::Digest256& payload_digest,
                                            const crypto::Digest256& target_digest) {
  const std::uint64_t at = payload_end_;
  head_.chunks_.push_back(
      {target_end_, at, target_bytes, payload_bytes, payload_digest, target_digest});
  target_end_ += target_bytes;
  payload_end_ += payload_bytes;
  return at;
}

std::uint32_t PayloadHeadBuilder::tables_bytes() const {
  const std::size_t streams =
      stream_table_.empty() ? 0 : kStreamTableLengthBytes + stream_table_.size();
  return static_cast<std::uint32_t>(streams + address_table_.size());
}

Bytes PayloadHeadBuilder::serialise() const {
  LAYBY_ASSERT(head_.chunks_.size() == chunk_count_ && target_end_ == head_.target_bytes_);
  Bytes out;
  out.reserve(head_.head_bytes());
  append(out, kMagic);
  append_u16(out, kPayloadVersion);
  out.push_back(static_cast<std::uint8_t>(head_.coder_));
  out.push_back(static_cast<std::uint8_t>((head_.base_ ? kFlagHasBase : 0) |
                                          (stream_table_.empty() ? 0 : kFlagHasStreams)));
  append_u32(out, head_.chunk_target_bytes_max_);
  append_u64(out, head_.target_bytes_);
  append_u64(out, head_.base_ ? head_.base_->bytes : 0);
  append_u64(out, payload_end_);
  append_u32(out, chunk_count_);
  append_u32(out, tables_bytes());
  append(out, head_.target_sha256_);
  append(out, head_.base_ ? head_.base_->sha256 : crypto::Digest256{});
  for (const ChunkEntry& chunk : head_.chunks_) {
    append_u32(out, chunk.target_bytes);
    append_u32(out, chunk.payload_bytes);
    append(out, chunk.payload_digest);
    append(out, chunk.target_digest);
  }
  if (!stream_table_.empty()) {
    append_u32(out, static_cast<std::uint32_t>(stream_table_.size()));
    append(out, stream_table_);
  }
  append(out, address_table_);
  return out;
}

}  // namespace layby::delta
