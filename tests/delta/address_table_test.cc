// The part of a payload's head that says where addresses stand.
#include <catch2/catch.hpp>

#include <random>

#include "delta/address_table.h"
#include "delta/varint.h"
#include "delta/zstd_frame.h"

using namespace layby;
using namespace layby::delta;

namespace {

constexpr std::uint64_t kImageBytes = 1'000'000;

bool operator==(const AddressRange& a, const AddressRange& b) {
  return a.offset == b.offset && a.bytes == b.bytes && a.address_shift == b.address_shift &&
         a.origin == b.origin && a.module == b.module && a.kind == b.kind;
}

void check_same(const AddressTable& a, const AddressTable& b) {
  REQUIRE(a.modules.size() == b.modules.size());
  for (std::size_t i = 0; i < a.modules.size(); ++i) {
    CHECK(a.modules[i].low == b.modules[i].low);
    CHECK(a.modules[i].high == b.modules[i].high);
    CHECK(a.modules[i].code_low == b.modules[i].code_low);
    CHECK(a.modules[i].code_high == b.modules[i].code_high);
    CHECK(a.modules[i].has_absolute_code == b.modules[i].has_absolute_code);
  }
  const auto same = [](const std::vector<AddressRange>& x, const std::vector<AddressRange>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](const AddressRange& p, const AddressRange& q) { return p == q; });
  };
  CHECK(same(a.base, b.base));
  CHECK(same(a.target, b.target));
}

Result<AddressTable> parse(const Bytes& bytes) {
  return parse_address_table(bytes, kImageBytes, kImageBytes);
}

Bytes packed(const Bytes& raw) {
  Bytes out;
  append_varint(out, raw.size());
  const Bytes frame = zstd_pack(raw, {}, 19);
  out.insert(out.end(), frame.begin(), frame.end());
  return out;
}

Bytes numbers(std::initializer_list<std::uint64_t> values) {
  Bytes out;
  for (const std::uint64_t value : values) append_varint(out, value);
  return out;
}

// One module, one range of the base, none of the target.
Bytes with_range(std::uint64_t gap, std::uint64_t bytes, std::uint64_t kind, std::uint64_t module) {
  return packed(numbers({1, 0, 0, 0, 0, 0, 1, gap, bytes, kind, 0, 0, module, 0}));
}

void check_refused(const Bytes& bytes) {
  const auto refused = parse(bytes);
  REQUIRE(!refused);
  CHECK(refused.error().code() == ErrorCode::kBadPayload);
}

AddressTable random_table(std::mt19937_64& random) {
  AddressTable table;
  for (std::size_t i = 1 + random() % 5; i > 0; --i)
    table.modules.push_back(
        {random(), random() >> random() % 64, random(), random(), random() % 2 == 0});
  for (std::vector<AddressRange>* ranges : {&table.base, &table.target}) {
    std::uint64_t at = 0;
    for (std::size_t i = random() % 20; i > 0; --i) {
      AddressRange range;
      range.offset = at + random() % 3 * (random() % 5'000);
      range.bytes = 1 + random() % 20'000;
      range.address_shift = random() >> random() % 64;
      range.origin = random() >> random() % 64;
      range.module = static_cast<std::uint32_t>(random() % table.modules.size());
      range.kind = static_cast<RangeKind>(1 + random() % kRangeKindMax);
      at = range.end();
      ranges->push_back(range);
    }
  }
  return table;
}

}  // namespace

TEST_CASE("an address table is read as it was written, whatever its numbers") {
  CHECK(serialise_address_table({}).empty());
  REQUIRE(parse({}));
  CHECK(parse({})->modules.empty());
  std::mt19937_64 random(1);
  for (int i = 0; i < 300; ++i) {
    const AddressTable table = random_table(random);
    const Bytes bytes = serialise_address_table(table);
    const auto parsed = parse(bytes);
    REQUIRE(parsed);
    check_same(table, *parsed);
    CHECK(serialise_address_table(*parsed) == bytes);
  }
}

TEST_CASE("ranges fill an image to its end, and not beyond") {
  CHECK(parse(with_range(0, kImageBytes, 1, 0)));
  CHECK(parse(with_range(kImageBytes - 1, 1, 8, 0)));
  check_refused(with_range(0, kImageBytes + 1, 1, 0));
  check_refused(with_range(kImageBytes, 1, 1, 0));
  check_refused(with_range(1, kImageBytes, 1, 0));
  check_refused(with_range(~std::uint64_t{0}, 2, 1, 0));
  check_refused(with_range(2, ~std::uint64_t{0}, 1, 0));
  check_refused(with_range(0, 0, 1, 0));
  // Without a base there is no place for its ranges.
  CHECK(parse_address_table(with_range(0, 1, 1, 0), 0, kImageBytes).error().code() ==
        ErrorCode::kBadPayload);
}

TEST_CASE("ranges that overlap cannot be said; written so, they are refused") {
  AddressTable table;
  table.modules.push_back({});
  table.base = {{0, 100, 0, 0, 0, RangeKind::kWords64}, {100, 100, 0, 0, 0, RangeKind::kWords64}};
  CHECK(parse(serialise_address_table(table)));
  table.base[1].offset = 99;  // a gap of -1
  check_refused(serialise_address_table(table));
  table.base[1].offset = 100;
  std::swap(table.base[0], table.base[1]);
  check_refused(serialise_address_table(table));
}

TEST_CASE("kinds, modules and flags that there are not are refused") {
  for (const std::uint64_t kind :
       {std::uint64_t{0}, kRangeKindMax + std::uint64_t{1}, std::uint64_t{257}, ~std::uint64_t{0}})
    check_refused(with_range(0, 1, kind, 0));
  for (std::uint64_t kind = 1; kind <= kRangeKindMax; ++kind)
    CHECK(parse(with_range(0, 1, kind, 0)));
  for (const std::int64_t module :
       {std::int64_t{1}, std::int64_t{-1}, std::int64_t{1} << 32, INT64_MAX, INT64_MIN})
    check_refused(with_range(0, 1, 1, zigzag(module)));
  check_refused(packed(numbers({1, 2, 0, 0, 0, 0, 0, 0})));
  check_refused(packed(numbers({0, 0, 0})));
}

TEST_CASE("bytes are missing or left over") {
  std::mt19937_64 random(2);
  const Bytes raw = numbers({1, 1, 4096, 100, 0, 100, 1, 5, 6, 1, 3, 0, 0, 1, 5, 6, 1, 3, 0, 0});
  REQUIRE(parse(packed(raw)));
  for (std::size_t size = 0; size < raw.size(); ++size)
    check_refused(packed(Bytes(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(size))));
  Bytes more = raw;
  more.push_back(0);
  check_refused(packed(more));
  const Bytes whole = packed(raw);
  for (std::size_t size = 1; size < whole.size(); ++size)
    check_refused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
  more = whole;
  more.push_back(0);
  check_refused(more);
  for (int i = 0; i < 2000; ++i) {
    Bytes mutated = whole;
    mutated[random() % mutated.size()] = static_cast<std::uint8_t>(random());
    if (const auto parsed = parse(mutated)) CHECK(parse(serialise_address_table(*parsed)));
  }
}

TEST_CASE("too many modules, ranges and bytes are refused before memory is taken") {
  check_refused(packed(numbers({kModulesMax + 1})));
  check_refused(packed(numbers({1, 0, 0, 0, 0, 0, kAddressRangesMax + 1})));
  check_refused(packed(numbers({1, 0, 0, 0, 0, 0, ~std::uint64_t{0}})));
  Bytes huge = numbers({std::uint64_t{1} << 40});
  huge.resize(huge.size() + 20);
  check_refused(huge);
  check_refused(packed(Bytes(2 * kAddressTableBytesMax + 1, 0)));
  AddressTable table;
  table.modules.resize(kModulesMax);
  for (std::uint64_t i = 0; i < kAddressRangesMax; ++i)
    table.base.push_back({i * 100, 100, 0, 0, 7, RangeKind::kX86Code});
  REQUIRE(parse(serialise_address_table(table)));
  table.base.push_back({kAddressRangesMax * 100, 100, 0, 0, 7, RangeKind::kX86Code});
  check_refused(serialise_address_table(table));
}

TEST_CASE("a range is found by what it holds, in whatever order it is asked") {
  std::mt19937_64 random(3);
  for (int round = 0; round < 50; ++round) {
    const std::vector<AddressRange> ranges = random_table(random).base;
    RangeCursor cursor(ranges);
    const auto holder = [&](std::uint64_t offset) -> const AddressRange* {
      for (const AddressRange& range : ranges)
        if (offset >= range.offset && offset < range.end()) return &range;
      return nullptr;
    };
    const std::uint64_t end = ranges.empty() ? 1000 : ranges.back().end() + 1000;
    std::uint64_t at = 0;
    for (int i = 0; i < 500; ++i) {
      at = random() % 4 == 0 ? random() % end : std::min(at + random() % 700, end);
      const AddressRange* const found = cursor.find(at);
      CHECK(found == holder(at));
      const std::uint64_t until = cursor.until();
      CHECK(until > at);
      CHECK(holder(until - 1) == found);
      if (until != ~std::uint64_t{0}) {
        CHECK((found == nullptr || holder(until) != found));
        CHECK(std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& range) {
          return range.offset == until || range.end() == until;
        }));
      }
    }
  }
}
