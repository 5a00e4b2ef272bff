#include <array>
#include <cstring>

#include "base/assert.h"
#include "base/limits.h"
#include "delta/common_prefix.h"
#include "delta/varint.h"
#include "delta/zstd_columns.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

// Fewer new bytes than this do not pay for looking at the history.
constexpr std::size_t kHistoryWorthBytes = 64 * kKiB;
// What is made asks less of a car than the format allows: the chunk, what comes out of it and the
// history together. More history than this makes nothing smaller, only slower.
constexpr std::size_t kHistoryBytesMade = 3 * kMiB;
constexpr std::size_t kDecodingBytesMade = 8 * kMiB;
static_assert(kHistoryBytesMade <= kHistoryBytesMax);

using Columns = std::array<Bytes, kColumns>;

Bytes& column(Columns& columns, Column which) {
  return columns[static_cast<std::size_t>(which)];
}

void append(Bytes& to, ByteSpan bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::uint32_t load_word(ByteSpan from, std::size_t bytes) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < bytes; ++i) word |= std::uint32_t{from[i]} << (8 * i);
  return word;
}

// Which bytes are copied and which are new.
void split_copies(const ChunkSource& source, const CopyList& copies, Columns& columns) {
  std::size_t at = source.begin;
  std::int64_t alignment = 0;
  const auto add_new = [&](std::size_t until) {
    append_varint(column(columns, Column::kNewCounts), until - at);
    append(column(columns, Column::kNewData), source.target.subspan(at, until - at));
  };
  for (const Copy& copy : copies) {
    LAYBY_ASSERT(copy.bytes > 0 && copy.target_offset >= at &&
                 copy.target_offset + copy.bytes <= source.end);
    add_new(copy.target_offset);
    append_varint(column(columns, Column::kCopyCounts), copy.bytes);
    const std::int64_t next = static_cast<std::int64_t>(copy.source_offset) -
                              static_cast<std::int64_t>(copy.target_offset);
    append_varint(column(columns, Column::kJumps), zigzag(next - alignment));
    alignment = next;
    at = copy.target_offset + copy.bytes;
  }
  if (at < source.end) add_new(source.end);
}

// Where copies differ from the base, and by what.
void split_differences(const ChunkSource& source, const CopyList& copies, DifferenceWidth width,
                       Columns& columns) {
  Bytes& gaps = column(columns, Column::kGaps);
  Bytes& differences = column(columns, Column::kDifferences);
  gaps.clear();
  differences.clear();
  std::uint64_t gap = 0;
  for (const Copy& copy : copies) {
    ByteSpan base = source.base.subspan(copy.source_offset, copy.bytes);
    ByteSpan target = source.target.subspan(copy.target_offset, copy.bytes);
    while (true) {
      const std::size_t equal = common_prefix(base, target);
      gap += equal;
      if (equal == base.size()) break;
      append_varint(gaps, gap);
      gap = 0;
      const std::size_t bytes = std::min(static_cast<std::size_t>(width), base.size() - equal);
      base = base.subspan(equal);
      target = target.subspan(equal);
      const std::uint32_t difference = load_word(target, bytes) - load_word(base, bytes);
      switch (width) {
        case DifferenceWidth::kByte:
          differences.push_back(static_cast<std::uint8_t>(difference));
          break;
        case DifferenceWidth::kWord:
          append_varint(differences, zigzag(static_cast<std::int32_t>(difference)));
          break;
      }
      base = base.subspan(bytes);
      target = target.subspan(bytes);
    }
  }
}

// The packed column, or nothing where packing does not make it smaller.
Bytes pack(ByteSpan bytes, ByteSpan history, int level) {
  if (bytes.empty()) return {};
  Bytes packed = zstd_pack(bytes, history, level);
  if (packed.size() >= bytes.size()) packed.clear();
  return packed;
}

std::size_t coded_bytes(const Bytes& raw, const Bytes& packed) {
  return packed.empty() ? raw.size() : packed.size();
}

int level_of(Effort effort) {
  switch (effort) {
    case Effort::kQuick: return 6;
    case Effort::kThorough: return 19;
  }
  return 19;
}

class ChunkWriter {
 public:
  ChunkWriter(const ChunkSource& source, const CopyList& copies, Effort effort)
      : source_(source), copies_(copies), level_(level_of(effort)) {
    split_copies(source, copies, raw_);
    pack_differences();
    for (const Column which : {Column::kNewCounts, Column::kCopyCounts, Column::kJumps})
      column(packed_, which) = pack(column(raw_, which), {}, level_);
    pack_new_data();
  }

  // Whether the decoder will accept it: copies that pay never come near this bound.
  bool within_bounds() const {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < kColumns; ++i)
      if (i != static_cast<std::size_t>(Column::kNewData)) bytes += raw_[i].size();
    const std::uint64_t made = source_.end - source_.begin;
    const std::uint64_t coded = coded_bytes_of_all();
    return bytes <= made + kColumnBytesSlack &&
           made + coded + std::max<std::uint64_t>(bytes, history_bytes_) <= kDecodingBytesMade;
  }

  Bytes serialise() const {
    Bytes out;
    out.push_back(static_cast<std::uint8_t>(width_));
    append_varint(out, history_bytes_);
    for (std::size_t i = 0; i < kColumns; ++i) {
      append_varint(out, raw_[i].size());
      append_varint(out, packed_[i].size());
    }
    for (std::size_t i = 0; i < kColumns; ++i)
      append(out, packed_[i].empty() ? raw_[i] : packed_[i]);
    return out;
  }

 private:
  std::size_t coded_bytes_of_all() const {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < kColumns; ++i) bytes += coded_bytes(raw_[i], packed_[i]);
    return bytes;
  }

  // Addresses in code move as words, most other things as bytes: both are tried.
  void pack_differences() {
    Columns words;
    split_differences(source_, copies_, DifferenceWidth::kWord, words);
    split_differences(source_, copies_, DifferenceWidth::kByte, raw_);
    std::size_t as_bytes = 0;
    std::size_t as_words = 0;
    Columns packed_words;
    for (const Column which : {Column::kGaps, Column::kDifferences}) {
      column(packed_, which) = pack(column(raw_, which), {}, level_);
      column(packed_words, which) = pack(column(words, which), {}, level_);
      as_bytes += coded_bytes(column(raw_, which), column(packed_, which));
      as_words += coded_bytes(column(words, which), column(packed_words, which));
    }
    if (as_bytes <= as_words) return;
    width_ = DifferenceWidth::kWord;
    for (const Column which : {Column::kGaps, Column::kDifferences}) {
      column(raw_, which) = std::move(column(words, which));
      column(packed_, which) = std::move(column(packed_words, which));
    }
  }

  // Mostly new chunks are like what was before them; in others the history may do harm.
  void pack_new_data() {
    const Bytes& data = column(raw_, Column::kNewData);
    const bool all_new = copies_.empty();
    WithHistory with;
    if (data.size() >= kHistoryWorthBytes) with = pack_with_history(data);
    if (with.is_noise && all_new) return;
    Bytes& packed = column(packed_, Column::kNewData);
    if (!all_new || with.history_bytes == 0) packed = pack(data, {}, level_);
    if (with.history_bytes == 0) return;
    if (!all_new && with.packed.size() >= coded_bytes(data, packed)) return;
    packed = std::move(with.packed);
    history_bytes_ = with.history_bytes;
  }

  struct WithHistory {
    std::size_t history_bytes = 0;  // 0: none that a decoder has room for
    Bytes packed;
    bool is_noise = false;  // packing makes it no smaller
  };
  // With as much of what is before as there is room for beside the rest. Coded against less it may
  // be larger, which leaves less room still: after a few tries there is none.
  WithHistory pack_with_history(const Bytes& data) const {
    const std::size_t others = source_.end - source_.begin + coded_bytes_of_all() - data.size();
    std::size_t bytes = std::min<std::size_t>(kHistoryBytesMade, source_.begin);
    for (int tries = 0; tries < 3 && bytes > 0; ++tries) {
      Bytes packed = pack(data, history(bytes), level_);
      if (packed.empty()) return {0, {}, true};
      const std::size_t held = others + packed.size();
      if (held + bytes <= kDecodingBytesMade) return {bytes, std::move(packed), false};
      bytes = kDecodingBytesMade - std::min(kDecodingBytesMade, held);
    }
    return {};
  }

  ByteSpan history(std::size_t bytes) const {
    return source_.target.subspan(source_.begin - bytes, bytes);
  }

  const ChunkSource& source_;
  const CopyList& copies_;
  int level_;
  DifferenceWidth width_ = DifferenceWidth::kByte;
  std::uint64_t history_bytes_ = 0;
  Columns raw_;
  Columns packed_;  // empty: stored
};

}  // namespace

Bytes encode_zstd_columns(const ChunkSource& source, const CopyList& copies, Effort effort) {
  const ChunkWriter writer(source, copies, effort);
  if (writer.within_bounds()) return writer.serialise();
  return ChunkWriter(source, {}, effort).serialise();
}

}  // namespace layby::delta
