#include "delta/mixed.h"
#include "delta/mixed_chunk.h"
#include "delta/zstd_columns.h"

namespace layby::delta {
namespace {

class MixedDecoder final : public ChunkDecoder {
 public:
  explicit MixedDecoder(const AddressTable& addresses) : addresses_(addresses) {}

  Result<void> decode(ByteSpan chunk_bytes, const ReadAt* base, const ReadAt& target,
                      std::uint64_t target_offset, MutableByteSpan out) override {
    if (chunk_bytes.empty()) return fail(ErrorCode::kBadPayload, "the chunk is empty");
    const ByteSpan spelt = chunk_bytes.subspan(1);
    if (chunk_bytes[0] == static_cast<std::uint8_t>(ChunkForm::kBits))
      return decode_bits(spelt, base, target, target_offset, out);
    if (chunk_bytes[0] == static_cast<std::uint8_t>(ChunkForm::kColumns))
      return make_zstd_columns_decoder()->decode(spelt, base, target, target_offset, out);
    return fail(ErrorCode::kBadPayload, "the chunk has the form {}", chunk_bytes[0]);
  }

 private:
  Result<void> decode_bits(ByteSpan spelt, const ReadAt* base, const ReadAt& target,
                           std::uint64_t target_offset, MutableByteSpan out) const {
    const auto state = std::make_unique<MixedState>();  // for the chunk: a car has little memory
    BitReader bits(spelt);
    MixedChunk<BitReader> reader(*state, addresses_, bits, base, target, target_offset, out);
    TRY_VOID(reader.run({}));
    if (bits.is_beyond_end()) return fail(ErrorCode::kBadPayload, "the chunk is cut off");
    if (!bits.has_read_all()) return fail(ErrorCode::kBadPayload, "the chunk has bytes left over");
    return {};
  }

  const AddressTable& addresses_;
};

}  // namespace

std::unique_ptr<ChunkDecoder> make_mixed_decoder(const AddressTable& addresses) {
  return std::make_unique<MixedDecoder>(addresses);
}

}  // namespace layby::delta
