#include <algorithm>
#include <array>
#include <cstring>

#include "base/limits.h"
#include "delta/varint.h"
#include "delta/zstd_columns.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

struct ColumnRange {
  std::size_t raw_bytes = 0;
  ByteSpan coded;
  bool stored = false;
};

struct Layout {
  DifferenceWidth width = DifferenceWidth::kByte;
  std::uint64_t history_bytes = 0;
  std::array<ColumnRange, kColumns> columns;

  const ColumnRange& operator[](Column which) const {
    return columns[static_cast<std::size_t>(which)];
  }
};

Result<Layout> parse_layout(ByteSpan chunk, std::uint64_t target_offset, std::size_t out_bytes) {
  Layout layout;
  if (chunk.empty()) return fail(ErrorCode::kBadPayload, "the chunk is empty");
  if (chunk[0] != static_cast<std::uint8_t>(DifferenceWidth::kByte) &&
      chunk[0] != static_cast<std::uint8_t>(DifferenceWidth::kWord))
    return fail(ErrorCode::kBadPayload, "differences of {} bytes are not known", chunk[0]);
  layout.width = static_cast<DifferenceWidth>(chunk[0]);
  VarintReader numbers(chunk.subspan(1));
  layout.history_bytes = TRY(numbers.next());
  if (layout.history_bytes > std::min(kHistoryBytesMax, target_offset))
    return fail(ErrorCode::kBadPayload, "the chunk refers to {} bytes before it",
                layout.history_bytes);
  std::uint64_t small_bytes = 0;
  std::uint64_t unpacked_bytes = 0;
  std::array<std::uint64_t, kColumns> coded_bytes;
  for (std::size_t i = 0; i < kColumns; ++i) {
    const std::uint64_t raw = TRY(numbers.next());
    const std::uint64_t packed = TRY(numbers.next());
    if (raw > out_bytes + kColumnBytesSlack || packed >= std::max<std::uint64_t>(raw, 1))
      return fail(ErrorCode::kBadPayload, "column {} has {} bytes, {} packed", i, raw, packed);
    if (i != static_cast<std::size_t>(Column::kNewData)) {
      small_bytes += raw;
      if (packed > 0) unpacked_bytes += raw;
    }
    layout.columns[i] = {static_cast<std::size_t>(raw), {}, packed == 0};
    coded_bytes[i] = packed == 0 ? raw : packed;
  }
  if (small_bytes > out_bytes + kColumnBytesSlack)
    return fail(ErrorCode::kBadPayload, "columns of {} bytes for a chunk of {}", small_bytes,
                out_bytes);
  if (out_bytes + chunk.size() + std::max(layout.history_bytes, unpacked_bytes) > kDecodingBytesMax)
    return fail(ErrorCode::kBadPayload,
                "a chunk of {} bytes that holds {} more besides its target bytes", chunk.size(),
                std::max(layout.history_bytes, unpacked_bytes));
  if (layout[Column::kNewData].raw_bytes > out_bytes)
    return fail(ErrorCode::kBadPayload, "more new bytes than the chunk has");
  ByteSpan rest = numbers.rest();
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (coded_bytes[i] > rest.size())
      return fail(ErrorCode::kBadPayload, "column {} reaches past the end of the chunk", i);
    layout.columns[i].coded = rest.first(static_cast<std::size_t>(coded_bytes[i]));
    rest = rest.subspan(static_cast<std::size_t>(coded_bytes[i]));
  }
  if (!rest.empty())
    return fail(ErrorCode::kBadPayload, "{} bytes after the last column", rest.size());
  return layout;
}

// Adds the differences to copied bytes as they come by.
class Differences {
 public:
  Differences(ByteSpan gaps, ByteSpan differences, DifferenceWidth width)
      : gaps_(gaps), bytes_(differences), words_(differences), width_(width) {}

  Result<void> start() { return next_gap(); }

  // `copy`: bytes as they stand in the base.
  Result<void> apply(MutableByteSpan copy) {
    while (more_ && gap_ < copy.size()) {
      copy = copy.subspan(static_cast<std::size_t>(gap_));
      const std::size_t bytes = std::min(static_cast<std::size_t>(width_), copy.size());
      add(copy.first(bytes), TRY(next_difference()));
      copy = copy.subspan(bytes);
      TRY_VOID(next_gap());
    }
    if (more_) gap_ -= copy.size();
    return {};
  }

  Result<void> finish() const {
    const bool left = width_ == DifferenceWidth::kByte ? !bytes_.empty() : !words_.at_end();
    if (more_ || left)
      return fail(ErrorCode::kBadPayload, "differences are left over after the last copy");
    return {};
  }

 private:
  Result<void> next_gap() {
    more_ = !gaps_.at_end();
    gap_ = 0;
    if (more_) gap_ = TRY(gaps_.next());
    return {};
  }

  Result<std::uint32_t> next_difference() {
    switch (width_) {
      case DifferenceWidth::kByte: {
        if (bytes_.empty()) return fail(ErrorCode::kBadPayload, "a difference is missing");
        const std::uint8_t difference = bytes_[0];
        bytes_ = bytes_.subspan(1);
        return difference;
      }
      case DifferenceWidth::kWord: {
        const std::uint64_t difference = TRY(words_.next());
        if (difference > 0xffff'ffff)
          return fail(ErrorCode::kBadPayload, "a difference has more than 32 bits");
        return static_cast<std::uint32_t>(unzigzag(difference));
      }
    }
    return fail(ErrorCode::kBadPayload, "no such width of differences");
  }

  static void add(MutableByteSpan to, std::uint32_t difference) {
    std::uint32_t word = difference;
    std::uint32_t old = 0;
    for (std::size_t i = 0; i < to.size(); ++i) old |= std::uint32_t{to[i]} << (8 * i);
    word += old;
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<std::uint8_t>(word >> (8 * i));
  }

  VarintReader gaps_;
  ByteSpan bytes_;
  VarintReader words_;
  DifferenceWidth width_;
  std::uint64_t gap_ = 0;
  bool more_ = false;
};

class ZstdColumnsDecoder final : public ChunkDecoder {
 public:
  Result<void> decode(ByteSpan chunk_bytes, const ReadAt* base, const ReadAt& target,
                      std::uint64_t target_offset, MutableByteSpan out) override {
    const Layout layout = TRY(parse_layout(chunk_bytes, target_offset, out.size()));
    Bytes small;  // the columns but the new data, unpacked
    std::array<ByteSpan, kColumns> columns;
    TRY_VOID(unpack_new_data(layout, target, target_offset, out));
    TRY_VOID(unpack_small(layout, small, columns));
    const auto column = [&](Column which) { return columns[static_cast<std::size_t>(which)]; };
    Differences differences(column(Column::kGaps), column(Column::kDifferences), layout.width);
    TRY_VOID(differences.start());
    VarintReader new_counts(column(Column::kNewCounts));
    VarintReader copy_counts(column(Column::kCopyCounts));
    VarintReader jumps(column(Column::kJumps));

    // New bytes wait at the end of `out` and move forward: what is written never overtakes them,
    // since the bytes still to be written are at least as many as the new ones among them.
    std::size_t waiting = layout[Column::kNewData].raw_bytes;
    std::uint64_t alignment = 0;  // modulo 2^64, so that no sum of jumps overflows
    std::size_t at = 0;
    while (at < out.size()) {
      const std::uint64_t new_bytes = TRY(new_counts.next());
      if (new_bytes > waiting)
        return fail(ErrorCode::kBadPayload, "{} new bytes wanted, {} are left", new_bytes, waiting);
      std::memmove(&out[at], out.data() + out.size() - waiting, new_bytes);
      waiting -= new_bytes;
      at += new_bytes;
      if (at == out.size()) break;
      const std::uint64_t copied = TRY(copy_counts.next());
      if (copied == 0 || copied > out.size() - at - waiting)
        return fail(ErrorCode::kBadPayload, "a copy of {} bytes where {} are missing", copied,
                    out.size() - at - waiting);
      alignment += static_cast<std::uint64_t>(unzigzag(TRY(jumps.next())));
      const MutableByteSpan copy = out.subspan(at, copied);
      TRY_VOID(read_base(base, target_offset + at + alignment, copy));
      TRY_VOID(differences.apply(copy));
      at += copied;
    }
    if (waiting != 0 || !new_counts.at_end() || !copy_counts.at_end() || !jumps.at_end())
      return fail(ErrorCode::kBadPayload, "the chunk says more bytes than it has");
    return differences.finish();
  }

 private:
  Result<void> unpack_small(const Layout& layout, Bytes& memory,
                            std::array<ByteSpan, kColumns>& columns) {
    std::size_t bytes = 0;
    for (const ColumnRange& range : layout.columns)
      if (&range != &layout[Column::kNewData] && !range.stored) bytes += range.raw_bytes;
    memory.resize(bytes);
    std::size_t at = 0;
    for (std::size_t i = 0; i < kColumns; ++i) {
      const ColumnRange& range = layout.columns[i];
      columns[i] = range.coded;
      if (range.stored || &range == &layout[Column::kNewData]) continue;
      const MutableByteSpan raw = MutableByteSpan(memory).subspan(at, range.raw_bytes);
      TRY_VOID(unpacker_.unpack(range.coded, {}, raw));
      columns[i] = raw;
      at += range.raw_bytes;
    }
    return {};
  }

  Result<void> unpack_new_data(const Layout& layout, const ReadAt& target,
                               std::uint64_t target_offset, MutableByteSpan out) {
    const ColumnRange& range = layout[Column::kNewData];
    const MutableByteSpan end = out.last(range.raw_bytes);
    if (range.stored) {
      std::copy(range.coded.begin(), range.coded.end(), end.begin());
      return {};
    }
    // Gone before the small columns are unpacked: a car has little memory.
    Bytes history(static_cast<std::size_t>(layout.history_bytes));
    TRY_VOID(target.read_at(target_offset - layout.history_bytes, history));
    return unpacker_.unpack(range.coded, history, end);
  }

  static Result<void> read_base(const ReadAt* base, std::uint64_t from, MutableByteSpan out) {
    if (base == nullptr)
      return fail(ErrorCode::kBadPayload, "a copy in a payload that has no base");
    if (from > base->size() || out.size() > base->size() - from)
      return fail(ErrorCode::kBadPayload,
                  "a copy of {} base bytes at {} reaches past its end at {}", out.size(), from,
                  base->size());
    return base->read_at(from, out);
  }

  ZstdUnpacker unpacker_;
};

}  // namespace

std::unique_ptr<ChunkDecoder> make_zstd_columns_decoder() {
  return std::make_unique<ZstdColumnsDecoder>();
}

}  // namespace layby::delta
