#include "delta/mixed.h"
#include "delta/mixed_chunk.h"

namespace layby::delta {
namespace {

class MixedDecoder final : public ChunkDecoder {
 public:
  explicit MixedDecoder(const AddressTable& addresses) : addresses_(addresses) {}

  Result<void> decode(ByteSpan chunk_bytes, const ReadAt* base, const ReadAt& target,
                      std::uint64_t target_offset, MutableByteSpan out) override {
    state_.reset();  // before the next one is there: a car has little memory
    state_ = std::make_unique<MixedState>();
    BitReader bits(chunk_bytes);
    MixedChunk<BitReader> reader(*state_, addresses_, bits, base, target, target_offset, out);
    TRY_VOID(reader.run({}));
    if (!bits.has_read_all())
      return fail(ErrorCode::kBadPayload, "the chunk says more bytes than it has");
    return {};
  }

 private:
  const AddressTable& addresses_;
  std::unique_ptr<MixedState> state_;
};

}  // namespace

std::unique_ptr<ChunkDecoder> make_mixed_decoder(const AddressTable& addresses) {
  return std::make_unique<MixedDecoder>(addresses);
}

}  // namespace layby::delta
