#include "base/assert.h"
#include "delta/mixed.h"
#include "delta/mixed_chunk.h"
#include "delta/span_source.h"
#include "delta/zstd_columns.h"

namespace layby::delta {
namespace {

// Columns are tried where bits make more than one part in so many of the target bytes.
constexpr std::size_t kColumnsWorthPart = 3;

Bytes encode_bits(const ChunkSource& source, const AddressTable& addresses,
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
  return std::move(bits).finish();
}

// Columns know copies of the base only.
CopyList without_repeats(const CopyList& copies) {
  CopyList of_base;
  std::copy_if(copies.begin(), copies.end(), std::back_inserter(of_base),
               [](const Copy& copy) { return copy.source == Copy::Source::kBase; });
  return of_base;
}

Bytes in_form(ChunkForm form, ByteSpan bytes) {
  Bytes chunk(1 + bytes.size(), static_cast<std::uint8_t>(form));
  std::copy(bytes.begin(), bytes.end(), chunk.begin() + 1);
  return chunk;
}

}  // namespace

Bytes encode_mixed(const ChunkSource& source, const AddressTable& addresses,
                   const CopyList& copies) {
  const Bytes bits = encode_bits(source, addresses, copies);
  // Bits cannot do much for what is mostly new and has no pattern, and cost the car time.
  if (bits.size() > (source.end - source.begin) / kColumnsWorthPart) {
    const Bytes columns = encode_zstd_columns(source, without_repeats(copies), Effort::kThorough);
    if (columns.size() <= bits.size()) return in_form(ChunkForm::kColumns, columns);
  }
  return in_form(ChunkForm::kBits, bits);
}

}  // namespace layby::delta
