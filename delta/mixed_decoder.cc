#include "delta/mixed.h"
#include "delta/mixed_chunk.h"

namespace layby::delta {
namespace {

class MixedDecoder final : public ChunkDecoder {
 public:
  explicit MixedDecoder(const AddressTable& addresses) : addresses_(addresses) {}

  Result<void> decode(ByteSpan chunk_bytes, const ReadAt* base, const ReadAt& target,
                      std::uint64_t target_offset, MutableByteSpan out) override {
    const auto state = std::make_unique<MixedState>();  // for the chunk: a car has little memory
    BitReader bits(chunk_bytes);
    MixedChunk<BitReader> reader(*state, addresses_, bits, base, target, target_offset, out);
    TRY_VOID(reader.run({}));
    if (!bits.has_read_all())
      return fail(ErrorCode::kBadPayload, "the chunk says more bytes than it has");
    return {};
  }

 private:
  const AddressTable& addresses_;
};

}  // namespace

std::unique_ptr<ChunkDecoder> make_mixed_decoder(const AddressTable& addresses) {
  return std::make_unique<MixedDecoder>(addresses);
}

}  // namespace layby::delta
