// Fields anywhere, in any range of any module: a field lies within range and window, nothing around
// them matters to it, and what is said of its number agrees with itself.
#include "base/assert.h"
#include "tests/fuzz/fuzzed_addresses.h"

using namespace layby;
using namespace layby::delta;
using layby::tests::FuzzedNumbers;

namespace {

void check_numbers(const Field& field, std::uint64_t bits, std::uint64_t place, const Move& move) {
  LAYBY_ASSERT(spell_moved(field, bits, {0, 0, 0, place}) == bits);
  const std::uint64_t moved = spell_moved(field, bits, move);
  const auto units = units_between(field, bits, moved);
  LAYBY_ASSERT(units && add_units(field, bits, *units) == moved);
  LAYBY_ASSERT(without_number(field, bits) == without_number(field, moved));
  LAYBY_ASSERT(unit_bytes(field, bits) == unit_bytes(field, moved));
  Bytes stored(field.bytes);
  store_field(field, moved, stored.data());
  LAYBY_ASSERT(load_field(field, stored.data()) == moved);
}

bool same(const Field& a, const Field& b) {
  return a.form == b.form && a.bytes == b.bytes && a.role == b.role && a.address == b.address;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedNumbers numbers(data, size);
  const Module module = layby::tests::fuzzed_module(numbers);
  const AddressRange range = layby::tests::fuzzed_range(numbers, 0, 4096, 1);
  const std::uint64_t first = numbers.byte();  // image offset of the window's first byte
  const Move move{numbers.any(), numbers.any(), numbers.any(), numbers.any()};
  const ByteSpan rest = numbers.rest().first(std::min<std::size_t>(numbers.rest().size(), 4096));
  const Bytes window(rest.begin(), rest.end());  // a buffer of exactly that size
  Bytes around = window;
  for (std::size_t i = 0; i < around.size(); ++i)
    if (first + i < range.offset || first + i >= range.end()) around[i] ^= 0x5a;
  for (std::size_t at = 0; at < window.size(); ++at) {
    const std::uint64_t offset = first + at;
    if (offset < range.offset || offset >= range.end()) continue;
    const Field field = find_field(module, range, window, at, offset);
    LAYBY_ASSERT(same(field, find_field(module, range, around, at, offset)));
    if (!field) continue;
    LAYBY_ASSERT((field.bytes == 4 || field.bytes == 8) && field.role < kFieldRoles);
    LAYBY_ASSERT(at + field.bytes <= window.size() && offset + field.bytes <= range.end());
    check_numbers(field, load_field(field, &window[at]), offset + range.address_shift, move);
  }
  return 0;
}
