// The applier: makes target bytes from a payload's chunks and the base, in bounded memory.
//
// Payloads are treated as hostile even when every digest is right: the decoder checks each length
// and offset, and its memory is bounded by kApplierBytesMax whatever the payload says. Its time for
// a chunk is bounded by the bytes of the chunk's view (at most kChunkTargetBytesMax) and a
// constant: what texts of streams may cost to read is kReadCostPerByte for each and
// kReadCostBesides, what making streams again may take kDeflateStepsPerByteMax and
// kDeflateStepsBesides; a hostile payload may use all of it up, some seconds for each MiB. Chunks
// are applied in order. Between two chunks there is no state but the base and the target bytes
// before the chunk, so work may stop after any chunk and go on in another process: open a new
// Applier and apply the next one.
#pragma once

#include <memory>

#include "base/disk.h"
#include "delta/payload.h"

namespace layby::delta {

class Applier {
 public:
  // `base` must outlive the applier; null for a payload without a base. Reads nothing yet.
  // kWrongBase if a base is missing, not wanted, or has another length than the head says.
  static Result<Applier> open(PayloadHead head, const ReadAt* base);
  ~Applier();
  Applier(Applier&&) noexcept;
  Applier& operator=(Applier&&) noexcept;

  const PayloadHead& head() const;

  // Verifies `chunk_bytes` (exactly the chunk's payload range), decodes them, verifies what came
  // out and writes it at the chunk's target offset. Nothing is written unless all of it is right;
  // nothing is synced. Chunks below `index` must be in `target` already.
  // kWrongChunk: these are not the chunk's bytes, by digest or length. kBadPayload: they are, and
  // do not make its target bytes; asking for them again will not help. Other codes come from `base`
  // and `target`.
  Result<void> apply_chunk(std::uint32_t index, ByteSpan chunk_bytes, File& target);

 private:
  struct State;
  explicit Applier(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Reads all of `base`: kWrongBase unless it has the length and SHA-256 that the head names. Do this
// before the first byte of a chunk is fetched.
Result<void> check_base(const PayloadHead& head, const ReadAt& base);

// Reads the chunk's range of a target back: kWrongChunk unless it has its digest.
Result<void> check_chunk(const PayloadHead& head, std::uint32_t index, const ReadAt& target);

// Reads all of `target` back: kCorrupt unless it has the length and SHA-256 that the head names.
Result<void> check_target(const PayloadHead& head, const ReadAt& target);

// All chunks of a payload that lies on the disk, base checked first, target read back last.
Result<void> apply_payload(const ReadAt& payload, const ReadAt* base, File& target);

}  // namespace layby::delta
