#include "delta/applier.h"

#include <algorithm>
#include <optional>

#include "base/assert.h"
#include "base/limits.h"
#include "delta/chunk_coder.h"
#include "delta/image_view.h"
#include "delta/near_reads.h"
#include "delta/stream_remaker.h"

namespace layby::delta {

struct Applier::State {
  PayloadHead head;
  const ReadAt* base;
  std::unique_ptr<ChunkDecoder> decoder;
  TextCache texts;

  Result<Bytes> decode(std::uint32_t index, ByteSpan chunk_bytes, const ReadAt& target);
  Result<Bytes> remake_streams(std::uint32_t index, Bytes view) const;
};

namespace {

std::string version_here(const std::vector<ReEncoder>& available, const std::string& name) {
  for (const ReEncoder& one : available)
    if (one.name == name) return one.version;
  return "none";
}

}  // namespace

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
                  "the payload needs {} {} to make compressed streams again; this build has {}",
                  needed.name, needed.version, version_here(available, needed.name));
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

namespace {

// An image as copies see it: streams within streams.
class SeenImage {
 public:
  SeenImage(const ReadAt& image, const StreamList& streams, const StreamList& inner_streams,
            const ViewLayers& layers, TextCache& texts)
      : outer_(image, streams, layers.outer, texts),
        inner_(outer_, inner_streams, layers.inner, texts, Layer::kInner) {}
  SeenImage(const SeenImage&) = delete;
  SeenImage& operator=(const SeenImage&) = delete;

  const ReadAt& view() const { return inner_; }

 private:
  ImageView outer_;
  ImageView inner_;
};

// Bytes of an image, or of a view, that a chunk makes.
struct ByteRange {
  std::uint64_t begin;
  std::uint64_t end;
};

// From a chunk's part of a view back to what the view was made of: streams in the place of their
// texts.
Result<Bytes> remake(const StreamList& streams, const ViewLayout& layout, const ByteRange& of,
                     Bytes view, StreamRemaker& remaker) {
  auto cut = layout.first_cut_behind(of.begin);
  if (cut == layout.cuts().end() || cut->image_offset >= of.end) return view;
  const std::uint64_t view_begin = layout.view_offset(of.begin);
  Bytes out(static_cast<std::size_t>(of.end - of.begin));
  Bytes stream;
  std::size_t made = 0;
  std::size_t read = 0;
  const auto copy_until = [&](std::uint64_t offset) {
    const auto bytes = static_cast<std::size_t>(offset - of.begin) - made;
    std::copy_n(&view[read], bytes, &out[made]);
    made += bytes;
    read += bytes;
  };
  for (; cut != layout.cuts().end() && cut->image_offset < of.end; ++cut) {
    if (cut->image_offset > of.begin + made) copy_until(cut->image_offset);
    made += cut->bytes;
    read += cut->text_bytes;
    if (cut->text_bytes == 0) continue;
    const Stream& made_again = streams[cut->stream];
    const ByteSpan text = ByteSpan(view).subspan(
        static_cast<std::size_t>(cut->view_offset - view_begin), cut->text_bytes);
    stream.resize(made_again.bytes);
    TRY_VOID(remaker.remake(made_again.form, made_again.recipe, text, stream));
    ByteSpan rest = stream;
    for (const StreamPiece& piece : streams.pieces(made_again)) {
      std::copy_n(rest.begin(), piece.bytes,
                  out.begin() + static_cast<std::ptrdiff_t>(piece.offset - of.begin));
      rest = rest.subspan(piece.bytes);
    }
  }
  if (made < out.size()) copy_until(of.end);
  return out;
}

}  // namespace

// What it takes is taken for the chunk and given back with it: the next one may be minutes away.
Result<Bytes> Applier::State::decode(std::uint32_t index, ByteSpan chunk_bytes,
                                     const ReadAt& target) {
  const PayloadHead::ViewRange range = head.chunk_view(index);
  Bytes view(range.bytes);
  std::optional<NearReads> near_base;
  if (base != nullptr) near_base.emplace(*base);
  const StreamTable& streams = head.streams();
  if (streams.empty()) {
    TRY_VOID(decoder->decode(chunk_bytes, near_base ? &*near_base : nullptr, target, range.offset,
                             view));
    return view;
  }
  const SeenImage seen_target(target, streams.target, streams.inner_target, head.target_view(),
                              texts);
  if (!near_base) {
    TRY_VOID(decoder->decode(chunk_bytes, nullptr, seen_target.view(), range.offset, view));
  } else {
    const SeenImage seen_base(*near_base, streams.base, streams.inner_base, head.base_view(),
                              texts);
    TRY_VOID(
        decoder->decode(chunk_bytes, &seen_base.view(), seen_target.view(), range.offset, view));
  }
  texts.begin_chunk(0);  // room for making them again
  return remake_streams(index, std::move(view));
}

// The chunk's target bytes, by way of what the outer streams make of them.
Result<Bytes> Applier::State::remake_streams(std::uint32_t index, Bytes view) const {
  const ChunkEntry& chunk = head.chunk(index);
  const ByteRange of_target{chunk.target_offset, chunk.target_offset + chunk.target_bytes};
  const ViewLayers& layers = head.target_view();
  const ByteRange of_outer{layers.outer.view_offset(of_target.begin),
                           layers.outer.view_offset(of_target.end)};
  StreamRemaker remaker;
  view = TRY(remake(head.streams().inner_target, layers.inner, of_outer, std::move(view), remaker));
  return remake(head.streams().target, layers.outer, of_target, std::move(view), remaker);
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
