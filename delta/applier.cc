#include "delta/applier.h"

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"
#include "delta/chunk_coder.h"

namespace layby::delta {

struct Applier::State {
  PayloadHead head;
  const ReadAt* base;
  std::unique_ptr<ChunkDecoder> decoder;
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
  auto state = std::unique_ptr<State>(new State{std::move(head), base, nullptr});
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
  // Taken for the chunk and given back with it: the next one may be minutes away.
  Bytes out(chunk.target_bytes);
  const Result<void> decoded =
      state_->decoder->decode(chunk_bytes, state_->base, target, chunk.target_offset, out);
  if (!decoded) return fail(decoded.error().with_context(fmt::format("chunk {}", index)));
  if (crypto::blake2b_256(out) != chunk.target_digest)
    return fail(ErrorCode::kBadPayload,
                "chunk {} did not make the target bytes that its digest names", index);
  return target.write_at(chunk.target_offset, out);
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
