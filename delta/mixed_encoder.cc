#include "base/assert.h"
#include "delta/mixed.h"
#include "delta/mixed_chunk.h"

namespace layby::delta {
namespace {

class SpanSource final : public ReadAt {
 public:
  explicit SpanSource(ByteSpan bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    LAYBY_ASSERT(offset <= bytes_.size() && out.size() <= bytes_.size() - offset);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

 private:
  ByteSpan bytes_;
};

}  // namespace

Bytes encode_mixed(const ChunkSource& source, const AddressTable& addresses,
                   const CopyList& copies) {
  const SpanSource base(source.base);
  const SpanSource target(source.target);
  Bytes chunk(source.target.begin() + static_cast<std::ptrdiff_t>(source.begin),
              source.target.begin() + static_cast<std::ptrdiff_t>(source.end));
  const auto state = std::make_unique<MixedState>();
  BitWriter bits;
  MixedChunk<BitWriter> writer(*state, addresses, bits, &base, target, source.begin, chunk);
  const Result<void> written = writer.run(copies);
  LAYBY_ASSERT(written);
  Bytes coded = std::move(bits).finish();
  if (coded.empty()) coded.push_back(0);
  return coded;
}

}  // namespace layby::delta
