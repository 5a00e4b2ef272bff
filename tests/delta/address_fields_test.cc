// Addresses in tables of Go, and what no field may do whatever stands around it.
#include <catch2/catch.hpp>

#include <random>

#include "delta/address_fields.h"

using namespace layby;
using namespace layby::delta;

namespace {

constexpr Module kModule{0x10000, 0x90000, 0x11000, 0x51000, false};

void append_word(Bytes& to, std::uint32_t word) {
  for (int i = 0; i < 4; ++i) to.push_back(static_cast<std::uint8_t>(word >> (8 * i)));
}

// A record of a function with two more tables by program counter and three words of data.
void append_record(Bytes& to, std::uint32_t code, std::uint32_t name) {
  for (const std::uint32_t word : {code, name, 8u, 0u, 100u, 200u, 300u, 2u, 5u, 77u, 3u << 24})
    append_word(to, word);
  for (const std::uint32_t word : {400u, 500u, 600u, 0xffffffffu, 700u}) append_word(to, word);
}

AddressRange range_of(RangeKind kind, std::uint64_t bytes) {
  AddressRange range;
  range.bytes = bytes;
  range.address_shift = kModule.code_low + kGoRecordsFrom;
  range.origin = kModule.code_low;
  range.kind = kind;
  return range;
}

}  // namespace

TEST_CASE("Go's records of functions refer to code, names, tables and data") {
  Bytes records;
  append_record(records, 0x40, 12);
  append_record(records, 0x80, 24);
  const AddressRange range = range_of(RangeKind::kGoRecords, records.size());
  std::vector<std::pair<std::size_t, std::uint64_t>> found;
  for (std::size_t at = 0; at < records.size(); ++at)
    if (const Field field = find_field(kModule, range, records, at, at)) {
      CHECK(field.form == FieldForm::kOrigin32);
      found.emplace_back(at, field.address - range.origin);
    }
  std::vector<std::pair<std::size_t, std::uint64_t>> expected;
  for (const std::size_t begin : {0, 64}) {
    expected.insert(expected.end(), {{begin, begin == 0 ? 0x40 : 0x80},
                                     {begin + 4, kGoNamesFrom + (begin == 0 ? 12 : 24)},
                                     {begin + 16, kGoCountersFrom + 100},
                                     {begin + 20, kGoCountersFrom + 200},
                                     {begin + 24, kGoCountersFrom + 300},
                                     {begin + 44, kGoCountersFrom + 400},
                                     {begin + 48, kGoCountersFrom + 500},
                                     {begin + 52, kGoDataFrom + 600},
                                     {begin + 60, kGoDataFrom + 700}});
  }
  CHECK(found == expected);
}

TEST_CASE("Go's index of functions pairs code with records") {
  Bytes index;
  for (const std::uint32_t word : {0x40u, 1000u, 0x80u, 1064u}) append_word(index, word);
  const AddressRange range = range_of(RangeKind::kGoFunctions, index.size());
  CHECK(find_field(kModule, range, index, 8, 8).address == range.origin + 0x80);
  const Field record = find_field(kModule, range, index, 12, 12);
  REQUIRE(record);
  CHECK(record.address == range.origin + kGoRecordsFrom + 1064);
  // Code behind this one moved by 0x20, records by 64, and the first code not at all.
  CHECK(spell_moved(record, load_field(record, &index[12]), {64, 0, 0, 0}) == 1064 + 64);
}

TEST_CASE("a field lies inside its range and its window, whatever bytes these are") {
  std::mt19937 random(1);
  for (std::uint8_t kind = 1; kind <= kRangeKindMax; ++kind) {
    bool holds = true;
    for (int round = 0; round < 2000; ++round) {
      Bytes window(random() % 200);  // of its own allocation, so that a sanitizer sees its end
      for (std::uint8_t& byte : window)
        byte = static_cast<std::uint8_t>(random() % 4 == 0 ? random() : 0);
      AddressRange range = range_of(static_cast<RangeKind>(kind), 1 + random() % 300);
      range.offset = random() % 64;
      range.address_shift = random() % 2 == 0 ? range.address_shift : random();
      for (std::size_t at = 0; at < window.size(); ++at) {
        const std::uint64_t offset = range.offset + at;
        if (offset >= range.end()) break;
        const Field field = find_field(kModule, range, window, at, offset);
        holds =
            holds && (!field || (at + field.bytes <= window.size() &&
                                 offset + field.bytes <= range.end() && field.role < kFieldRoles));
      }
    }
    CHECK(holds);
  }
}
