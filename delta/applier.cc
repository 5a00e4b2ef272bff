#include "delta/applier.h"

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"
#include "delta/chunk_coder.h"
#include "delta/image_view.h"
#include "delta/stream_remaker.h"

namespace layby::delta {

struct Applier::State {
  PayloadHead head;
  const ReadAt* base;
  std::unique_ptr<ChunkDecoder> decoder;
  TextCache texts;

  Result<Bytes> decode(std::uint32_t index, ByteSpan chunk_bytes, const ReadAt& target);
  Result<Bytes> remake(std::uint32_t index, Bytes view) const;
};

Applier::Applier(std::unique_ptr<State> state) : state_(std::move(state)) {}
Applier::~Applier() = default;
Applier::Applier(Applier&&) noexcept = default;
Applier& Applier::operator=(Applier&&) noexcept = default;

Result<Applier> Applier::open(PayloadHead head, const ReadAt* base) {
  if (head.base() && base == nullptr)
    return fail(ErrorCode::kWrongBase, "the payload needs a base of {} bytes with SHA-256 {}",
                head.base()->bytes, to_hex(head.base()->sha256));
  if (!head.base() && base != nullptr)
    return fail(ErrorCode::kWrongBase, "the payload is a full image and takes no base");
  if (base != nullptr && base->size() != head.base()->bytes)
    return fail(ErrorCode::kWrongBase, "the base has {} bytes, the payload was made for one of {}",
                base->size(), head.base()->bytes);
  const std::vector<ReEncoder> available = available_re_encoders();
  for (const ReEncoder& needed : head.re_encoders())
    if (std::find(available.begin(), available.end(), needed) == available.end())
      return fail(ErrorCode::kUnsupported,
                  "the payload needs {} {} to make compressed streams again; this build has {} {}",
                  needed.name, needed.version, available.front().name, available.front().version);
  auto state = std::unique_ptr<State>(new State{std::move(head), base, nullptr, {}});
  state->decoder = make_chunk_decoder(state->head.coder(), state->head.addresses());
  return Applier(std::move(state));
}

const PayloadHead& Applier::head() const {
  return state_->head;
}

Result<void> Applier::apply_chunk(std::uint32_t index, ByteSpan chunk_bytes, File& target) {
  LAYBY_ASSERT(index < state_->head.chunk_count());
  const ChunkEntry& chunk = state_->head.chunk(index);
  if (chunk_bytes.size() != chunk.payload_bytes)
    return fail(ErrorCode::kWrongChunk, "chunk {} has {} bytes, not {}", index, chunk_bytes.size(),
                chunk.payload_bytes);
  if (crypto::blake2b_256(chunk_bytes) != chunk.payload_digest)
    return fail(ErrorCode::kWrongChunk, "chunk {} is damaged: its bytes do not have their digest",
                index);
  if (target.size() < chunk.target_offset)
    return fail(ErrorCode::kInvalidArgument, "chunk {} comes before the one that it follows",
                index);
  state_->texts.begin_chunk(state_->head.chunk_view(index).bytes);
  const Result<Bytes> decoded = state_->decode(index, chunk_bytes, target);
  state_->texts.begin_chunk(0);
  if (!decoded) return fail(decoded.error().with_context(fmt::format("chunk {}", index)));
  const Bytes& out = *decoded;
  if (crypto::blake2b_256(out) != chunk.target_digest)
    return fail(ErrorCode::kBadPayload,
                "chunk {} did not make the target bytes that its digest names", index);
  return target.write_at(chunk.target_offset, out);
}

// What it takes is taken for the chunk and given back with it: the next one may be minutes away.
Result<Bytes> Applier::State::decode(std::uint32_t index, ByteSpan chunk_bytes,
                                     const ReadAt& target) {
  const PayloadHead::ViewRange range = head.chunk_view(index);
  Bytes view(range.bytes);
  if (head.streams().empty()) {
    TRY_VOID(decoder->decode(chunk_bytes, base, target, range.offset, view));
    return view;
  }
  const ImageView target_view(target, head.streams().target, head.target_view(), texts);
  if (base == nullptr) {
    TRY_VOID(decoder->decode(chunk_bytes, nullptr, target_view, range.offset, view));
  } else {
    const ImageView base_view(*base, head.streams().base, head.base_view(), texts);
    TRY_VOID(decoder->decode(chunk_bytes, &base_view, target_view, range.offset, view));
  }
  texts.begin_chunk(0);  // room for making them again
  return remake(index, std::move(view));
}

// The chunk's target bytes: streams in the place of their texts.
Result<Bytes> Applier::State::remake(std::uint32_t index, Bytes view) const {
  const ChunkEntry& chunk = head.chunk(index);
  const std::uint64_t view_begin = head.chunk_view(index).offset;
  const std::uint64_t end = chunk.target_offset + chunk.target_bytes;
  const StreamList& streams = head.streams().target;
  auto cut = head.target_view().first_cut_behind(chunk.target_offset);
  if (cut == head.target_view().cuts().end() || cut->image_offset >= end) return view;
  Bytes out(chunk.target_bytes);
  StreamRemaker remaker;
  Bytes stream;
  std::size_t made = 0;
  std::size_t read = 0;
  const auto copy_until = [&](std::uint64_t offset) {
    const auto bytes = static_cast<std::size_t>(offset - chunk.target_offset) - made;
    std::copy_n(&view[read], bytes, &out[made]);
    made += bytes;
    read += bytes;
  };
  for (; cut != head.target_view().cuts().end() && cut->image_offset < end; ++cut) {
    if (cut->image_offset > chunk.target_offset + made) copy_until(cut->image_offset);
    made += cut->bytes;
    read += cut->text_bytes;
    if (cut->text_bytes == 0) continue;
    const Stream& of = streams[cut->stream];
    const ByteSpan text = ByteSpan(view).subspan(
        static_cast<std::size_t>(cut->view_offset - view_begin), cut->text_bytes);
    stream.resize(of.bytes);
    TRY_VOID(remaker.remake(of.form, of.recipe, text, stream));
    ByteSpan rest = stream;
    for (const StreamPiece& piece : streams.pieces(of)) {
      std::copy_n(rest.begin(), piece.bytes,
                  out.begin() + static_cast<std::ptrdiff_t>(piece.offset - chunk.target_offset));
      rest = rest.subspan(piece.bytes);
    }
  }
  if (made < out.size()) copy_until(end);
  return out;
}

Result<void> check_base(const PayloadHead& head, const ReadAt& base) {
  if (!head.base())
    return fail(ErrorCode::kWrongBase, "the payload is a full image and takes no base");
  if (base.size() != head.base()->bytes)
    return fail(ErrorCode::kWrongBase, "the base has {} bytes, the payload was made for one of {}",
                base.size(), head.base()->bytes);
  const auto digests = TRY(crypto::hash_all(base, crypto::Hasher::With::kSha256));
  if (digests.sha256 != head.base()->sha256)
    return fail(ErrorCode::kWrongBase,
                "the base has SHA-256 {}, the payload was made for the one with {}",
                to_hex(digests.sha256), to_hex(head.base()->sha256));
  return {};
}

Result<void> check_chunk(const PayloadHead& head, std::uint32_t index, const ReadAt& target) {
  const ChunkEntry& chunk = head.chunk(index);
  if (target.size() < chunk.target_offset + chunk.target_bytes)
    return fail(ErrorCode::kWrongChunk, "chunk {} is not in the target yet", index);
  Bytes bytes(chunk.target_bytes);
  TRY_VOID(target.read_at(chunk.target_offset, bytes));
  if (crypto::blake2b_256(bytes) != chunk.target_digest)
    return fail(ErrorCode::kWrongChunk, "the target bytes of chunk {} do not have their digest",
                index);
  return {};
}

Result<void> check_target(const PayloadHead& head, const ReadAt& target) {
  if (target.size() != head.target_bytes())
    return fail(ErrorCode::kCorrupt, "the target has {} bytes, not {}", target.size(),
                head.target_bytes());
  const auto digests = TRY(crypto::hash_all(target, crypto::Hasher::With::kSha256));
  if (digests.sha256 != head.target_sha256())
    return fail(ErrorCode::kCorrupt, "the target has SHA-256 {}, not {}", to_hex(digests.sha256),
                to_hex(head.target_sha256()));
  return {};
}

Result<void> apply_payload(const ReadAt& payload, const ReadAt* base, File& target) {
  // The one copy of the index, which may have several MiB, is the applier's.
  Applier applier = TRY(Applier::open(TRY(read_head(payload)), base));
  const PayloadHead& head = applier.head();
  if (base != nullptr) TRY_VOID(check_base(head, *base));
  Bytes bytes;
  bytes.reserve(head.largest_chunk_payload_bytes());
  for (std::uint32_t i = 0; i < head.chunk_count(); ++i) {
    const ChunkEntry& chunk = head.chunk(i);
    bytes.resize(chunk.payload_bytes);
    TRY_VOID(payload.read_at(chunk.payload_offset, bytes));
    TRY_VOID(applier.apply_chunk(i, bytes, target));
  }
  return check_target(head, target);
}

}  // namespace layby::delta
