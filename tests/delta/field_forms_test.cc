// Where addresses stand in machine code and tables, on bytes made by hand.
#include <catch2/catch.hpp>

#include <memory>
#include <random>

#include "delta/alike.h"

using namespace layby;
using namespace layby::delta;

namespace {

constexpr std::uint64_t kLow = 0x40'0000;

Module module_of(bool absolute = false) {
  return {kLow, kLow + 0x10'0000, kLow, kLow + 0x1'0000, absolute};
}

// All of an image of `bytes` bytes; its first byte has the address kLow.
AddressRange range_of(RangeKind kind, std::uint64_t bytes) {
  return {0, bytes, kLow, kLow + 0x200, 0, kind};
}

void append32(Bytes& to, std::uint64_t word) {
  for (int i = 0; i < 4; ++i) to.push_back(static_cast<std::uint8_t>(word >> (8 * i)));
}

Bytes words(std::initializer_list<std::uint32_t> all) {
  Bytes out;
  for (const std::uint32_t word : all) append32(out, word);
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

// The field at `at` where `image` is range and window at once, in a buffer of exactly its size.
Field at(RangeKind kind, const Bytes& image, std::size_t at, const Module& module = module_of()) {
  const auto exact = std::make_unique<std::uint8_t[]>(image.size());
  std::copy(image.begin(), image.end(), exact.get());
  const Field field =
      find_field(module, range_of(kind, image.size()), {exact.get(), image.size()}, at, at);
  const std::uint8_t before = at > 0 ? exact[at - 1] : 0;
  if (field && !may_begin_field(module, kind, kLow + at, before)) FAIL("a field is passed over");
  return field;
}

void check_field(const Field& field, FieldForm form, int bytes, std::uint64_t address) {
  CHECK(field.form == form);
  CHECK(field.bytes == bytes);
  CHECK(field.address == address);
  CHECK(field.role > 0);
  CHECK(field.role < kFieldRoles);
}

constexpr RangeKind kKinds[] = {
    RangeKind::kX86Code,     RangeKind::kAarch64Code, RangeKind::kWords32, RangeKind::kOrigin32,
    RangeKind::kWords64,     RangeKind::kEhFrame,     RangeKind::kSymbols, RangeKind::kNothing,
    RangeKind::kGoFunctions, RangeKind::kGoRecords};

// Every kind of field, some of them several times.
Bytes mixture(std::mt19937_64& random, std::size_t size) {
  Bytes out;
  while (out.size() + 32 < size) {
    switch (random() % 6) {
      case 0:
        out.push_back(0xe8);
        append32(out, random() % 0x8000);
        break;
      case 1:
        out.insert(out.end(), {0x48, 0x8d, 0x05});
        append32(out, random() % 0x8000);
        break;
      case 2:
        out.resize((out.size() + 7) / 8 * 8);
        append32(out, kLow + random() % 0x10'0000);
        append32(out, 0);
        break;
      case 3:
        out.resize((out.size() + 3) / 4 * 4);
        append32(out, 0x9400'0000 | (random() & 0xfff));
        append32(out, 0x9000'0001 | (random() & 0x6000'0000));
        append32(out, 0x9100'0021 | (random() & 0x3ff) << 10);
        append32(out, 0xf940'0021 | (random() & 0x1ff) << 10);
        break;
      case 4: append32(out, random() % 0x800); break;
      case 5: out.push_back(static_cast<std::uint8_t>(random())); break;
    }
  }
  out.resize(size);
  return out;
}

}  // namespace

TEST_CASE("x86-64: calls, jumps and conditional jumps name code") {
  const Bytes call{0x90, 0x90, 0xe8, 0x10, 0, 0, 0, 0x90};
  check_field(at(RangeKind::kX86Code, call, 3), FieldForm::kRelative32, 4, kLow + 7 + 0x10);
  Bytes jump = call;
  jump[2] = 0xe9;
  check_field(at(RangeKind::kX86Code, jump, 3), FieldForm::kRelative32, 4, kLow + 7 + 0x10);
  Bytes jump_if = call;
  jump_if[1] = 0x0f;
  jump_if[2] = 0x85;
  check_field(at(RangeKind::kX86Code, jump_if, 3), FieldForm::kRelative32, 4, kLow + 7 + 0x10);
  CHECK(at(RangeKind::kX86Code, call, 3).role != at(RangeKind::kX86Code, jump, 3).role);
  CHECK(at(RangeKind::kX86Code, call, 3).role != at(RangeKind::kX86Code, jump_if, 3).role);

  Bytes backwards = call;
  std::fill_n(backwards.begin() + 3, 4, 0xff);  // to its own last byte
  check_field(at(RangeKind::kX86Code, backwards, 3), FieldForm::kRelative32, 4, kLow + 6);
  Bytes outside = call;
  outside[6] = 0x7f;
  CHECK_FALSE(at(RangeKind::kX86Code, outside, 3));
  for (const std::size_t elsewhere : {0u, 1u, 2u, 4u, 5u, 7u})
    CHECK_FALSE(at(RangeKind::kX86Code, call, elsewhere));
}

TEST_CASE("x86-64: data relative to the instruction, with an immediate behind it and without") {
  struct Case {
    std::uint8_t opcode;
    std::uint64_t to_the_end;
  };
  for (const Case& c : {Case{0x8b, 4},
                        {0x8d, 4},
                        {0x89, 4},
                        {0x03, 4},
                        {0x83, 5},
                        {0xc6, 5},
                        {0x80, 5},
                        {0xc1, 5},
                        {0xc7, 8},
                        {0x81, 8},
                        {0x69, 8}}) {
    INFO(int{c.opcode});
    const Bytes code{0x48, c.opcode, 0x0d, 0, 0x40, 0, 0, 1, 0, 0, 0};
    check_field(at(RangeKind::kX86Code, code, 3), FieldForm::kRelative32, 4,
                kLow + 3 + 0x4000 + c.to_the_end);
  }
  // Data may lie beyond the code; a call may not go there.
  const Bytes far_data{0x48, 0x8b, 0x05, 0, 0, 2, 0};
  check_field(at(RangeKind::kX86Code, far_data, 3), FieldForm::kRelative32, 4, kLow + 0x2'0007);
  const Bytes far_call{0x48, 0x8b, 0xe8, 0, 0, 2, 0};
  CHECK_FALSE(at(RangeKind::kX86Code, far_call, 3));
  const auto role = [](std::uint8_t opcode) {
    return at(RangeKind::kX86Code, {0x48, opcode, 0x05, 0, 1, 0, 0}, 3).role;
  };
  CHECK(role(0x8b) != role(0x8d));
  CHECK(role(0x8b) != role(0x89));
  CHECK(role(0x89) != role(0x03));
}

TEST_CASE("x86-64: absolute operands only in modules that are linked to fixed addresses") {
  const Bytes operands[] = {{0x90, 0x90, 0xbf}, {0x90, 0x90, 0x68}, {0x90, 0x90, 0x3d},
                            {0x48, 0xc7, 0xc0}, {0x48, 0x81, 0xf8}, {0xc7, 0x44, 0x24},
                            {0xff, 0x24, 0xc5}, {0x8b, 0x84, 0x90}, {0x90, 0x8b, 0x83}};
  for (const Bytes& operand : operands) {
    INFO(int{operand[0]} << " " << int{operand[1]} << " " << int{operand[2]});
    const Bytes code = joined({operand, words({kLow + 0x345}), {0x90}});
    check_field(at(RangeKind::kX86Code, code, 3, module_of(true)), FieldForm::kAbsolute32, 4,
                kLow + 0x345);
    CHECK_FALSE(at(RangeKind::kX86Code, code, 3));
    const Bytes small = joined({operand, words({0x123}), {0x90}});
    Module low_module = module_of(true);
    low_module.low = 0;
    CHECK_FALSE(at(RangeKind::kX86Code, small, 3, low_module).form == FieldForm::kAbsolute32);
  }
  const Bytes other = joined({Bytes{0, 0, 0}, words({kLow + 0x345})});
  CHECK_FALSE(at(RangeKind::kX86Code, other, 3, module_of(true)));
}

TEST_CASE("AArch64: branches, and ADRP with what completes it") {
  const Bytes code = words({
      0x9400'0004,              // 0: bl +16
      0x17ff'ffff,              // 4: b -4
      0xb000'0001,              // 8: adrp x1, the next page
      0xd503'201f,              // 12: nop
      0x9112'3421,              // 16: add x1, x1, 0x48d
      0xd000'0002,              // 20: adrp x2, three pages on
      0xf940'0c43,              // 24: ldr x3, [x2, 24]
      0xb900'0443,              // 28: str w3, [x2, 4]
      0x3dc0'0440,              // 32: ldr q0, [x2, 16]
      0x9100'0484,              // 36: add x4, x4, 1: of no ADRP
      0x1400'0000 | 0x10'0000,  // 40: b far away
  });
  const RangeKind kind = RangeKind::kAarch64Code;
  check_field(at(kind, code, 0), FieldForm::kBranch26, 4, kLow + 16);
  check_field(at(kind, code, 4), FieldForm::kBranch26, 4, kLow);
  CHECK(at(kind, code, 0).role != at(kind, code, 4).role);
  check_field(at(kind, code, 8), FieldForm::kPage21, 4, kLow + 0x1000 + 0x48d);
  CHECK_FALSE(at(kind, code, 12));
  check_field(at(kind, code, 16), FieldForm::kLow12, 4, kLow + 0x1000 + 0x48d);
  check_field(at(kind, code, 20), FieldForm::kPage21, 4, kLow + 0x2000 + 24);
  check_field(at(kind, code, 24), FieldForm::kLow12, 4, kLow + 0x2000 + 24);
  check_field(at(kind, code, 28), FieldForm::kLow12, 4, kLow + 0x2000 + 4);
  check_field(at(kind, code, 32), FieldForm::kLow12, 4, kLow + 0x2000 + 16);
  CHECK(at(kind, code, 16).role != at(kind, code, 24).role);
  CHECK_FALSE(at(kind, code, 36));
  CHECK_FALSE(at(kind, code, 40));
  for (const std::size_t odd : {1u, 2u, 3u, 5u, 9u}) CHECK_FALSE(at(kind, code, odd));
}

TEST_CASE("AArch64: an access that reaches beyond the page is not what completes an ADRP") {
  // adrp x1, the next page; ldr q0, [x1, 4096]; ldr q0, [x1, 4080]
  const Bytes code = words({0xb000'0001, 0x3dc4'0020, 0x3dc3'fc20});
  check_field(at(RangeKind::kAarch64Code, code, 0), FieldForm::kPage21, 4, kLow + 0x1000 + 4080);
  CHECK_FALSE(at(RangeKind::kAarch64Code, code, 4));
  check_field(at(RangeKind::kAarch64Code, code, 8), FieldForm::kLow12, 4, kLow + 0x1000 + 4080);
}

TEST_CASE("AArch64: what completes an ADRP stands at most twelve instructions behind it") {
  for (const std::size_t between : {0u, 11u, 12u}) {
    Bytes code = words({0xb000'0001});
    for (std::size_t i = 0; i < between; ++i) append32(code, 0xd503'201f);
    append32(code, 0x9100'4021);  // add x1, x1, 16
    const Field page = at(RangeKind::kAarch64Code, code, 0);
    check_field(page, FieldForm::kPage21, 4, kLow + 0x1000 + (between < 12 ? 16 : 0));
    CHECK(bool(at(RangeKind::kAarch64Code, code, 4 * between + 4)) == (between < 12));
  }
}

TEST_CASE("tables: distances and addresses, aligned") {
  const Bytes distances = words({0x20, 0xffff'fffc, 0x7000'0000, 0});
  check_field(at(RangeKind::kWords32, distances, 0), FieldForm::kRelative32, 4, kLow + 0x20);
  check_field(at(RangeKind::kWords32, distances, 4), FieldForm::kRelative32, 4, kLow);
  CHECK_FALSE(at(RangeKind::kWords32, distances, 8));
  CHECK_FALSE(at(RangeKind::kWords32, distances, 1));

  check_field(at(RangeKind::kOrigin32, distances, 0), FieldForm::kOrigin32, 4, kLow + 0x220);
  check_field(at(RangeKind::kOrigin32, distances, 4), FieldForm::kOrigin32, 4, kLow + 0x1fc);
  CHECK(at(RangeKind::kOrigin32, distances, 0).role != at(RangeKind::kOrigin32, distances, 4).role);
  CHECK_FALSE(at(RangeKind::kOrigin32, distances, 8));

  const Bytes addresses = words({0x1234, 0, kLow + 0x3'0000, 0, kLow + 8, 1});
  check_field(at(RangeKind::kWords64, addresses, 8), FieldForm::kAbsolute64, 8, kLow + 0x3'0000);
  for (const std::size_t none : {0u, 4u, 12u, 16u})
    CHECK_FALSE(at(RangeKind::kWords64, addresses, none));
  for (std::size_t i = 0; i < addresses.size(); ++i)
    CHECK_FALSE(at(RangeKind::kNothing, addresses, i));
}

TEST_CASE("call frame information: CIE, function and LSDA pointers") {
  Bytes frames = words({
      0x14, 0, 0x0052'7a01, 0x0110'7801, 0x0807'0c1b, 0x0190,  // 0: a CIE of 24 bytes
      0x1c, 0x1c,                                              // 24: FDE, 28 bytes after its CIE
      0x200, 0x20,                                             // 32: the function and its length
  });
  frames.push_back(4);
  append32(frames, 0x3'0000);
  frames.resize(56);
  const RangeKind kind = RangeKind::kEhFrame;
  // The function pointer is told from a CIE pointer by what it points to.
  check_field(at(kind, frames, 32), FieldForm::kRelative32, 4, kLow + 32 + 0x200);
  check_field(at(kind, frames, 41), FieldForm::kRelative32, 4, kLow + 41 + 0x3'0000);
  CHECK(at(kind, frames, 32).role != at(kind, frames, 41).role);
  CHECK_FALSE(at(kind, frames, 42));

  // Code lies elsewhere, as it does in an executable: small distances are CIE pointers.
  Module module = module_of();
  module.code_low = kLow + 0x8000;
  frames[33] = 0x90;  // the function is 0x9000 on
  check_field(at(kind, frames, 28, module), FieldForm::kBackwards32, 4, kLow + 28 - 0x1c);
  check_field(at(kind, frames, 32, module), FieldForm::kRelative32, 4, kLow + 32 + 0x9000);
  Bytes without = frames;
  without[28] = 0;  // a CIE
  CHECK_FALSE(at(kind, without, 28, module));
  without[28] = 0x1d;  // before the range
  CHECK_FALSE(at(kind, without, 28, module));
}

TEST_CASE("symbols: the place of the name, and the address") {
  Bytes symbols(24, 0);
  const Bytes second = words({5, 0x12, kLow + 0x40, 0, 64, 0});
  symbols.insert(symbols.end(), second.begin(), second.end());
  const RangeKind kind = RangeKind::kSymbols;
  check_field(at(kind, symbols, 24), FieldForm::kOrigin32, 4, kLow + 0x200 + 5);
  check_field(at(kind, symbols, 32), FieldForm::kAbsolute64, 8, kLow + 0x40);
  for (std::size_t i = 0; i < symbols.size(); ++i)
    if (i != 24 && i != 32) CHECK_FALSE(at(kind, symbols, i));
}

TEST_CASE("a moved field is spelt so that it names the moved thing from its new place") {
  constexpr std::uint64_t kMoved = 0x40, kPlaceMoved = 0x20, kOriginMoved = 0x10;
  // Where `bits` at `place` point to, by the field that is found there.
  const auto check = [&](RangeKind kind, const Bytes& image, std::size_t from,
                         const Module& module) {
    const AddressRange range = range_of(kind, image.size());
    const Field field = find_field(module, range, image, from, from);
    REQUIRE(field);
    const std::uint64_t bits = load_field(field, &image[from]);
    const std::uint64_t place = kLow + from;
    CHECK(spell_moved(field, bits, {0, 0, 0, place}) == bits);
    Bytes moved = image;
    store_field(field,
                spell_moved(field, bits, {kMoved, kPlaceMoved, kOriginMoved, place + kPlaceMoved}),
                &moved[from]);
    AddressRange moved_range = range;
    moved_range.address_shift += kPlaceMoved;
    moved_range.origin += kOriginMoved;
    const Field found = find_field(module, moved_range, moved, from, from);
    CHECK(found.form == field.form);
    // Of a pair of ADRP and ADD the other half still says what it said.
    if (field.form == FieldForm::kPage21)
      CHECK((found.address ^ (field.address + kMoved)) < 4096);
    else if (field.form != FieldForm::kBackwards32)
      CHECK(found.address == field.address + kMoved);
    CHECK(found.role == field.role);
  };
  check(RangeKind::kX86Code, {0, 0, 0xe8, 0, 1, 0, 0}, 3, module_of());
  check(RangeKind::kX86Code, {0, 0x83, 0x3d, 0, 1, 0, 0, 9}, 3, module_of());
  check(RangeKind::kX86Code, joined({{0, 0, 0xbf}, words({kLow + 9})}), 3, module_of(true));
  check(RangeKind::kAarch64Code, words({0x9400'0010}), 0, module_of());
  check(RangeKind::kAarch64Code, words({0xb000'0001, 0x9100'4021}), 0, module_of());
  check(RangeKind::kAarch64Code, words({0xb000'0001, 0x9100'4021}), 4, module_of());
  check(RangeKind::kAarch64Code, words({0xb000'0001, 0xf940'0421}), 4, module_of());
  check(RangeKind::kAarch64Code, words({0xb000'0001, 0x3dc0'0420}), 4, module_of());
  check(RangeKind::kWords32, words({0x100}), 0, module_of());
  check(RangeKind::kOrigin32, words({0x100}), 0, module_of());
  check(RangeKind::kWords64, words({kLow + 0x100, 0}), 0, module_of());
  check(RangeKind::kEhFrame, words({0x100, 0x10}), 0, module_of());
  check(RangeKind::kSymbols, words({7, 0}), 0, module_of());
  check(RangeKind::kSymbols, words({7, 0, kLow + 0x100, 0}), 8, module_of());
}

TEST_CASE("a CIE pointer grows by what its record moves more than the CIE") {
  const Field field{FieldForm::kBackwards32, 4, 1, kLow};
  CHECK(spell_moved(field, 100, {0, 24, 0, 0}) == 124);
  CHECK(spell_moved(field, 100, {24, 0, 0, 0}) == 76);
  CHECK(unit_bytes(field, 100) == -1);
  // The lowest number has no opposite.
  CHECK(spell_moved(field, 100, {std::uint64_t{1} << 63, 0, 0, 0}) == 100);
}

TEST_CASE("units count what lies between two spellings, and only of the same instruction") {
  std::mt19937_64 random(2);
  struct Case {
    FieldForm form;
    std::uint8_t bytes;
    std::uint64_t bits;
    std::int64_t unit;
    std::int64_t most;
  };
  const std::int64_t words32 = std::int64_t{1} << 31;
  const Case cases[] = {{FieldForm::kRelative32, 4, 0x1234'5678, 1, words32},
                        {FieldForm::kBackwards32, 4, 0x20, -1, words32},
                        {FieldForm::kOrigin32, 4, 0xffff'fff0, 1, words32},
                        {FieldForm::kAbsolute32, 4, 0x40'0000, 1, words32},
                        {FieldForm::kAbsolute64, 8, 0xffff'8000'0000'1234, 1, INT64_MAX},
                        {FieldForm::kBranch26, 4, 0x97ff'ff00, 4, 1 << 25},
                        {FieldForm::kPage21, 4, 0xf0ff'ffe3, 4096, 1 << 20},
                        {FieldForm::kLow12, 4, 0x913f'fc21, 1, 1 << 11},
                        {FieldForm::kLow12, 4, 0xf940'0421, 8, 1 << 11},
                        {FieldForm::kLow12, 4, 0x3dc0'0420, 16, 1 << 11}};
  for (const Case& c : cases) {
    INFO(static_cast<int>(c.form));
    const Field field{c.form, c.bytes, 1, 0};
    CHECK(unit_bytes(field, c.bits) == c.unit);
    for (int i = 0; i < 1000; ++i) {
      const std::int64_t units = static_cast<std::int64_t>(random()) % c.most;
      const std::uint64_t other = add_units(field, c.bits, units);
      const auto back = units_between(field, c.bits, other);
      REQUIRE(back);
      CHECK(*back == units);
      CHECK(without_number(field, c.bits) == without_number(field, other));
      CHECK((c.bytes == 8 || other >> 32 == 0));
    }
    CHECK(units_between(field, c.bits, c.bits) == 0);
    CHECK(units_between(field, c.bits, without_number(field, c.bits)).has_value());
    if (without_number(field, c.bits) != 0)
      CHECK_FALSE(units_between(field, c.bits,
                                c.bits ^ (field.form == FieldForm::kBranch26 ? 0x8000'0000 : 1))
                      .has_value());
  }
}

TEST_CASE("nothing outside of window and range is looked at") {
  std::mt19937_64 random(3);
  const Bytes image = mixture(random, 600);
  int found = 0;
  for (const RangeKind kind : kKinds)
    for (int round = 0; round < 300; ++round) {
      AddressRange range = range_of(kind, 0);
      range.offset = random() % 300;
      range.bytes = 1 + random() % (image.size() - range.offset);
      // The window in a buffer of its own, exactly as large.
      const std::size_t begin = random() % image.size();
      const std::size_t size = 1 + random() % (image.size() - begin);
      const auto window = std::make_unique<std::uint8_t[]>(size);
      std::copy_n(image.begin() + static_cast<std::ptrdiff_t>(begin), size, window.get());
      const auto other = std::make_unique<std::uint8_t[]>(size);
      for (std::size_t i = 0; i < size; ++i) {
        const bool inside = begin + i >= range.offset && begin + i < range.end();
        other[i] = inside ? window[i] : static_cast<std::uint8_t>(random());
      }
      for (std::size_t i = 0; i < size; ++i) {
        const std::uint64_t offset = begin + i;
        if (offset < range.offset || offset >= range.end()) continue;
        const Field field =
            find_field(module_of(round % 2 == 0), range, {window.get(), size}, i, offset);
        const Field again =
            find_field(module_of(round % 2 == 0), range, {other.get(), size}, i, offset);
        CHECK(field.form == again.form);
        CHECK(field.address == again.address);
        CHECK(field.role == again.role);
        if (!field) continue;
        ++found;
        CHECK(i + field.bytes <= size);
        CHECK(offset + field.bytes <= range.end());
        CHECK(field.role < kFieldRoles);
      }
    }
  CHECK(found > 1000);
}

namespace {

Bytes alike_of(const Bytes& image, const std::vector<Module>& modules,
               const std::vector<AddressRange>& ranges) {
  Bytes bare(image.size());
  Bytes alike(image.size());
  make_alike(image, modules, ranges, 2, bare, alike);
  return alike;
}

}  // namespace

TEST_CASE("images made alike keep their length, and every byte that is no address") {
  std::mt19937_64 random(4);
  for (const RangeKind kind : kKinds) {
    const Bytes image = mixture(random, 2000);
    AddressRange range = range_of(kind, 1200);
    range.offset = 400;
    const std::vector<Module> modules{module_of(true)};
    const Bytes alike = alike_of(image, modules, {range});
    REQUIRE(alike.size() == image.size());
    std::vector<bool> may_differ(image.size(), false);
    for (std::uint64_t i = range.offset; i < range.end();) {
      const Field field = find_field(modules[0], range, image, i, i);
      for (std::size_t k = 0; k < field.bytes; ++k) may_differ[i + k] = true;
      i += field ? field.bytes : 1;
    }
    for (std::size_t i = 0; i < image.size(); ++i)
      if (!may_differ[i]) CHECK(alike[i] == image[i]);
    CHECK(alike_of(image, modules, {}) == image);
  }
}

TEST_CASE("code that only moved is made alike") {
  std::mt19937_64 random(5);
  // Calls to places between which nothing changed, at two addresses in two images.
  Bytes code(4096, 0x90);
  for (std::size_t i = 8; i + 16 < code.size(); i += 16) {
    code[i] = 0xe8;
    code[i + 1] = static_cast<std::uint8_t>(random());
    code[i + 2] = static_cast<std::uint8_t>(random() % 4);
    code[i + 3] = code[i + 4] = 0;
    for (std::size_t k = 5; k < 12; ++k) code[i + k] = static_cast<std::uint8_t>(random());
  }
  const std::vector<Module> modules{module_of(true)};
  Bytes pointers;
  Bytes moved_pointers;
  for (std::uint64_t i = 0; i < 100; ++i) {
    append32(pointers, kLow + 16 * i);
    append32(pointers, 0);
    append32(moved_pointers, kLow + 0x800 + 16 * i);
    append32(moved_pointers, 0);
  }
  const auto image_of = [&](const Bytes& tail, std::uint64_t shift) {
    return alike_of(joined({code, tail}), modules,
                    {{0, 4096, kLow + shift, 0, 0, RangeKind::kX86Code},
                     {4096, 800, kLow + 0x8000, 0, 0, RangeKind::kWords64}});
  };
  CHECK(joined({code, pointers}) != joined({code, moved_pointers}));
  CHECK(image_of(pointers, 0) == image_of(moved_pointers, 0x800));
}
