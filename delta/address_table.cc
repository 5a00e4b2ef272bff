#include "delta/address_table.h"

#include <algorithm>
#include <limits>

#include "delta/varint.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

constexpr int kPackLevel = 19;

void append_ranges(Bytes& to, const std::vector<AddressRange>& ranges) {
  append_varint(to, ranges.size());
  std::uint64_t end = 0;
  std::uint64_t shift = 0;
  std::uint64_t origin = 0;
  std::uint32_t module = 0;
  for (const AddressRange& range : ranges) {
    append_varint(to, range.offset - end);
    append_varint(to, range.bytes);
    append_varint(to, static_cast<std::uint64_t>(range.kind));
    append_varint(to, zigzag(static_cast<std::int64_t>(range.address_shift - shift)));
    append_varint(to, zigzag(static_cast<std::int64_t>(range.origin - origin)));
    append_varint(to, zigzag(std::int64_t{range.module} - module));
    end = range.end();
    shift = range.address_shift;
    origin = range.origin;
    module = range.module;
  }
}

Result<std::vector<AddressRange>> parse_ranges(VarintReader& numbers, std::uint64_t image_bytes,
                                               std::size_t modules) {
  const std::uint64_t count = TRY(numbers.next());
  if (count > kAddressRangesMax)
    return fail(ErrorCode::kBadPayload, "address table: {} ranges, at most {}", count,
                kAddressRangesMax);
  std::vector<AddressRange> ranges;
  ranges.reserve(static_cast<std::size_t>(count));
  AddressRange last;
  for (std::uint64_t i = 0; i < count; ++i) {
    AddressRange range;
    const std::uint64_t gap = TRY(numbers.next());
    range.bytes = TRY(numbers.next());
    const std::uint64_t left = image_bytes - last.end();
    if (gap > left || range.bytes == 0 || range.bytes > left - gap)
      return fail(ErrorCode::kBadPayload, "address table: range {} reaches past the image", i);
    range.offset = last.end() + gap;
    const std::uint64_t kind = TRY(numbers.next());
    if (kind == 0 || kind > kRangeKindMax)
      return fail(ErrorCode::kBadPayload, "address table: range {} has the kind {}", i, kind);
    range.kind = static_cast<RangeKind>(kind);
    range.address_shift =
        last.address_shift + static_cast<std::uint64_t>(unzigzag(TRY(numbers.next())));
    range.origin = last.origin + static_cast<std::uint64_t>(unzigzag(TRY(numbers.next())));
    const auto module =
        std::uint64_t{last.module} + static_cast<std::uint64_t>(unzigzag(TRY(numbers.next())));
    if (module >= modules)
      return fail(ErrorCode::kBadPayload, "address table: range {} is of module {} of {}", i,
                  module, modules);
    range.module = static_cast<std::uint32_t>(module);
    last = range;
    ranges.push_back(range);
  }
  return ranges;
}

Result<Bytes> unpack(ByteSpan bytes) {
  VarintReader numbers(bytes);
  const std::uint64_t raw = TRY(numbers.next());
  if (raw == 0 || raw > 2 * kAddressTableBytesMax)
    return fail(ErrorCode::kBadPayload, "address table: {} bytes, at most {}", raw,
                2 * kAddressTableBytesMax);
  Bytes out(static_cast<std::size_t>(raw));
  TRY_VOID(ZstdUnpacker().unpack(numbers.rest(), {}, out));
  return out;
}

}  // namespace

Bytes serialise_address_table(const AddressTable& table) {
  Bytes packed;
  if (table.modules.empty()) return packed;
  Bytes raw;
  append_varint(raw, table.modules.size());
  for (const Module& module : table.modules) {
    append_varint(raw, module.has_absolute_code ? 1 : 0);
    append_varint(raw, module.low);
    append_varint(raw, module.high - module.low);
    append_varint(raw, module.code_low - module.low);
    append_varint(raw, module.code_high - module.code_low);
  }
  append_ranges(raw, table.base);
  append_ranges(raw, table.target);
  append_varint(packed, raw.size());
  const Bytes frame = zstd_pack(raw, {}, kPackLevel);
  packed.insert(packed.end(), frame.begin(), frame.end());
  return packed;
}

Result<AddressTable> parse_address_table(ByteSpan bytes, std::uint64_t base_bytes,
                                         std::uint64_t target_bytes) {
  AddressTable table;
  if (bytes.empty()) return table;
  const Bytes raw = TRY(unpack(bytes));
  VarintReader numbers(raw);
  const std::uint64_t count = TRY(numbers.next());
  if (count == 0 || count > kModulesMax)
    return fail(ErrorCode::kBadPayload, "address table: {} modules, at most {}", count,
                kModulesMax);
  for (std::uint64_t i = 0; i < count; ++i) {
    Module module;
    const std::uint64_t flags = TRY(numbers.next());
    if (flags > 1)
      return fail(ErrorCode::kBadPayload, "address table: module {} has the flags {}", i, flags);
    module.has_absolute_code = flags == 1;
    module.low = TRY(numbers.next());
    module.high = module.low + TRY(numbers.next());
    module.code_low = module.low + TRY(numbers.next());
    module.code_high = module.code_low + TRY(numbers.next());
    table.modules.push_back(module);
  }
  table.base = TRY(parse_ranges(numbers, base_bytes, table.modules.size()));
  table.target = TRY(parse_ranges(numbers, target_bytes, table.modules.size()));
  if (!numbers.at_end()) return fail(ErrorCode::kBadPayload, "address table: bytes after its end");
  return table;
}

const AddressRange* RangeCursor::find(std::uint64_t offset) {
  if (offset >= from_ && offset < until_) return found_;
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), offset,
      [](std::uint64_t wanted, const AddressRange& range) { return wanted < range.offset; });
  until_ = after != ranges_.end() ? after->offset : std::numeric_limits<std::uint64_t>::max();
  from_ = 0;
  found_ = nullptr;
  if (after == ranges_.begin()) return found_;
  const AddressRange& range = *(after - 1);
  if (offset < range.end()) {
    found_ = &range;
    from_ = range.offset;
    until_ = range.end();
  } else {
    from_ = range.end();
  }
  return found_;
}

}  // namespace layby::delta
