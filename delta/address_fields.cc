#include "delta/address_fields.h"

#include <array>
#include <bit>

#include "base/assert.h"

namespace layby::delta {
namespace {

std::uint64_t signed32(const std::uint8_t* at) {
  return static_cast<std::uint64_t>(
      static_cast<std::int64_t>(static_cast<std::int32_t>(load_u32(at))));
}

bool is_code(const Module& module, std::uint64_t address) {
  return address - module.code_low < module.code_high - module.code_low;
}

bool is_address(const Module& module, std::uint64_t address) {
  return address - module.low < module.high - module.low;
}

// The first page is nobody's: small numbers are no addresses.
bool is_absolute(const Module& module, std::uint64_t address) {
  return address >= 4096 && is_address(module, address);
}

// What stands around a possible field. `before` and `after` count bytes of both range and window.
struct Site {
  const Module& module;
  const AddressRange& range;
  const std::uint8_t* at;
  std::size_t before;
  std::size_t after;      // from `at` on
  std::uint64_t address;  // of the site itself
};

enum Role : std::uint8_t {
  kCall = 1,
  kJump,
  kJumpIf,
  kData,
  kAbsoluteOperand,
  kWord,
  kTableWord,
  kCiePointer,
  kFunctionPointer,
  kLsdaPointer,
  kSymbolName,
  kSymbolValue,
  kPointer,
  kBranch,
  kBranchLink,
  kPage,
  kPageAdd,
  kPageAccess,
  kDataStore,
  kDataLea,
  kDataOther,
  kGoCode,
  kGoRecord,
  kGoName,
  kGoCounters,
  kGoPositions,
  kGoFunctionData,
};

// Operands of x86 that begin 32-bit absolute addresses, by the bytes before them.
bool may_be_absolute_operand(std::uint8_t p1, std::uint8_t p2, std::uint8_t p3) {
  if ((p1 & 0xf8) == 0xb8 || p1 == 0x68 || p1 == 0x3d) return true;    // mov, push, cmp
  if ((p2 == 0xc7 || p2 == 0x81) && (p1 & 0xc0) == 0xc0) return true;  // mov, cmp r/m, imm
  if (p2 == 0xc7 && (p1 & 0xc7) == 0x05) return true;
  if (p3 == 0xc7 && (p2 & 0xc7) == 0x44) return true;     // mov [base + disp8], imm
  if ((p1 & 7) == 5 && (p2 & 0xc7) == 4) return true;     // [index * scale + disp32]
  if ((p1 & 0xc0) == 0x80 && (p1 & 7) != 4) return true;  // [base + disp32]
  return (p2 & 0xc7) == 0x84;                             // [base + index + disp32]
}

// From the first byte of a displacement to the end of its instruction, where an immediate follows.
std::uint64_t displacement_bytes(std::uint8_t opcode) {
  switch (opcode) {
    case 0x80:
    case 0x83:
    case 0xc0:
    case 0xc1:
    case 0xc6: return 5;
    case 0x81:
    case 0xc7:
    case 0x69: return 8;
    default: return 4;
  }
}

Role data_role(std::uint8_t opcode) {
  switch (opcode) {
    case 0x8b: return kData;
    case 0x8d: return kDataLea;
    case 0x89: return kDataStore;
    default: return kDataOther;
  }
}

Field x86_field(const Site& site) {
  if (site.before < 3 || site.after < 4) return {};
  const std::uint8_t p1 = site.at[-1];
  const std::uint8_t p2 = site.at[-2];
  if ((p1 & 0xfe) == 0xe8) {
    const std::uint64_t to = site.address + 4 + signed32(site.at);
    if (is_code(site.module, to))
      return {FieldForm::kRelative32, 4, p1 == 0xe8 ? kCall : kJump, to};
  } else if (p2 == 0x0f && (p1 & 0xf0) == 0x80) {
    const std::uint64_t to = site.address + 4 + signed32(site.at);
    if (is_code(site.module, to)) return {FieldForm::kRelative32, 4, kJumpIf, to};
  }
  if ((p1 & 0xc7) == 5) {
    const std::uint64_t to = site.address + displacement_bytes(p2) + signed32(site.at);
    if (is_address(site.module, to)) return {FieldForm::kRelative32, 4, data_role(p2), to};
  }
  if (site.module.has_absolute_code && may_be_absolute_operand(p1, p2, site.at[-3])) {
    const std::uint64_t to = load_u32(site.at);
    if (is_absolute(site.module, to)) return {FieldForm::kAbsolute32, 4, kAbsoluteOperand, to};
  }
  return {};
}

Field word64_field(const Site& site) {
  if (site.address % 8 != 0 || site.after < 8) return {};
  const std::uint64_t to = load_u64(site.at);
  if (!is_absolute(site.module, to)) return {};
  return {FieldForm::kAbsolute64, 8, kPointer, to};
}

Field word32_field(const Site& site) {
  if (site.address % 4 != 0 || site.after < 4) return {};
  const std::uint64_t to = site.address + signed32(site.at);
  if (is_code(site.module, to)) return {FieldForm::kRelative32, 4, kWord, to};
  return word64_field(site);
}

Field origin32_field(const Site& site) {
  if (site.address % 4 != 0 || site.after < 4) return {};
  const std::uint64_t to = site.range.origin + signed32(site.at);
  if (!is_address(site.module, to)) return {};
  return {FieldForm::kOrigin32, 4,
          static_cast<std::uint8_t>(site.address / 4 % 2 == 0 ? kTableWord : kWord), to};
}

Field eh_frame_field(const Site& site) {
  if (site.after < 4) return {};
  const std::uint64_t to = site.address + signed32(site.at);
  if (site.address % 4 == 0) {
    if (is_code(site.module, to)) return {FieldForm::kRelative32, 4, kFunctionPointer, to};
    // A CIE pointer stands between the record's length and the function.
    if (site.before < 4 || site.after < 8) return {};
    const std::uint64_t distance = load_u32(site.at);
    const std::uint32_t length = load_u32(site.at - 4);
    if (distance == 0 || distance > site.before || length == 0 || length > 4096) return {};
    if (!is_code(site.module, site.address + 4 + signed32(site.at + 4))) return {};
    return {FieldForm::kBackwards32, 4, kCiePointer, site.address - distance};
  }
  // An LSDA pointer follows the function, its length and one byte that says "4 bytes".
  if (site.before < 9 || site.at[-1] != 4 || (site.address - 9) % 4 != 0) return {};
  if (!is_code(site.module, site.address - 9 + signed32(site.at - 9))) return {};
  if (!is_address(site.module, to)) return {};
  return {FieldForm::kRelative32, 4, kLsdaPointer, to};
}

Field symbol_field(const Site& site, std::uint64_t in_range) {
  constexpr std::size_t kSymbolBytes = 24;
  switch (in_range % kSymbolBytes) {
    case 0:
      if (site.after < 4 || load_u32(site.at) == 0) return {};
      return {FieldForm::kOrigin32, 4, kSymbolName, site.range.origin + load_u32(site.at)};
    case 8:
      if (site.after < 8 || !is_absolute(site.module, load_u64(site.at))) return {};
      return {FieldForm::kAbsolute64, 8, kSymbolValue, load_u64(site.at)};
    default: return {};
  }
}

Field go_field(const Site& site, Role role, std::uint64_t from) {
  return {FieldForm::kOrigin32, 4, role, site.range.origin + from + load_u32(site.at)};
}

Field go_function_field(const Site& site, std::uint64_t in_range) {
  if (in_range % 4 != 0 || site.after < 4) return {};
  return in_range % 8 == 0 ? go_field(site, kGoCode, 0) : go_field(site, kGoRecord, kGoRecordsFrom);
}

// A record of a function, since Go 1.20 (runtime/runtime2.go, `_func`): words for its code, name,
// arguments, deferred return; three tables by program counter; how many more of these follow the
// record, its unit, its line; four bytes, the last of which says how many words of other data
// follow those. Records begin at multiples of 8.
constexpr std::size_t kGoRecordWords = 11;
constexpr std::size_t kGoMoreMax = 5;  // a record more than that is not recognised to its end

std::uint32_t go_word(const std::uint8_t* record, std::size_t index) {
  return load_u32(record + 4 * index);
}

bool is_go_record(const Site& site, const std::uint8_t* record) {
  const std::uint64_t code_bytes = site.module.code_high - site.range.origin;
  const std::uint32_t arguments = go_word(record, 2);  // bytes; the highest bit alone: unknown
  const std::uint32_t last = go_word(record, 10);
  return (arguments < 0x10'0000 || arguments == 0x8000'0000) && go_word(record, 0) < code_bytes &&
         go_word(record, 7) <= kGoMoreMax && (last & 0xff) < 64 && (last >> 8 & 0xff) < 8 &&
         (last >> 16 & 0xff) == 0 && (last >> 24) <= 10 && go_word(record, 3) < code_bytes &&
         go_word(record, 1) < kGoTableBytesMax && go_word(record, 4) < kGoTableBytesMax;
}

Field go_record_field(const Site& site, std::uint64_t in_range) {
  if (in_range % 4 != 0 || site.after < 4) return {};
  // The record in which the word stands begins some words before it.
  for (std::size_t word = in_range % 8 / 4; word < kGoRecordWords + kGoMoreMax + 8; word += 2) {
    if (4 * word > site.before || site.after + 4 * word < 4 * kGoRecordWords) continue;
    const std::uint8_t* record = site.at - 4 * word;
    if (!is_go_record(site, record)) continue;
    const std::size_t counters = kGoRecordWords + go_word(record, 7);
    if (word >= counters + (go_word(record, 10) >> 24)) return {};
    switch (word) {
      case 0: return go_field(site, kGoCode, 0);
      case 1: return go_field(site, kGoName, kGoNamesFrom);
      case 4:
      case 6: return go_field(site, kGoCounters, kGoCountersFrom);
      case 5: return go_field(site, kGoPositions, kGoCountersFrom);
      default: break;
    }
    if (word < kGoRecordWords || load_u32(site.at) == 0) return {};
    if (word < counters) return go_field(site, kGoCounters, kGoCountersFrom);
    if (load_u32(site.at) == 0xffff'ffff) return {};  // none
    return go_field(site, kGoFunctionData, kGoDataFrom);
  }
  return {};
}

// AArch64: instructions are little-endian words.
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::size_t kPairWordsMax = 12;  // between ADRP and what completes it

bool is_branch(std::uint32_t word) {
  return (word & 0x7c00'0000) == 0x1400'0000;
}
bool is_page(std::uint32_t word) {
  return (word & 0x9f00'0000) == 0x9000'0000;
}
bool is_page_add(std::uint32_t word) {
  return (word & 0xffc0'0000) == 0x9100'0000;
}
bool is_page_access(std::uint32_t word) {
  return (word & 0x3b00'0000) == 0x3900'0000;
}

std::uint32_t source_register(std::uint32_t word) {
  return word >> 5 & 31;
}

int access_scale(std::uint32_t word) {
  const bool is_vector128 = (word >> 30) == 0 && (word & 0x0480'0000) == 0x0480'0000;
  return is_vector128 ? 4 : static_cast<int>(word >> 30);
}

std::uint64_t low12_of(std::uint32_t word) {
  const std::uint64_t number = word >> 10 & 0xfff;
  return is_page_access(word) ? number << access_scale(word) : number;
}

std::uint64_t page_of(std::uint32_t word, std::uint64_t place) {
  const std::uint32_t number = (word >> 3 & 0x1f'fffc) | (word >> 29 & 3);
  const std::int64_t pages = static_cast<std::int32_t>(number << 11) >> 11;
  return (place & ~(kPageBytes - 1)) + static_cast<std::uint64_t>(pages) * kPageBytes;
}

// What lies beyond the page is another's: it would count pages that ADRP does not.
bool completes(std::uint32_t word, std::uint32_t page) {
  return (is_page_add(word) || is_page_access(word)) && source_register(word) == (page & 31) &&
         low12_of(word) < kPageBytes;
}

Field aarch64_field(const Site& site) {
  if (site.address % 4 != 0 || site.after < 4) return {};
  const std::uint32_t word = load_u32(site.at);
  if (is_branch(word)) {
    const std::int64_t words = static_cast<std::int32_t>(word << 6) >> 6;
    const std::uint64_t to = site.address + static_cast<std::uint64_t>(words) * 4;
    if (!is_code(site.module, to)) return {};
    return {FieldForm::kBranch26, 4,
            static_cast<std::uint8_t>(word >> 31 != 0 ? kBranchLink : kBranch), to};
  }
  if (is_page(word)) {
    std::uint64_t to = page_of(word, site.address);
    for (std::size_t i = 1; i <= kPairWordsMax && 4 * i + 4 <= site.after; ++i) {
      const std::uint32_t next = load_u32(site.at + 4 * i);
      if (!completes(next, word)) continue;
      to += low12_of(next);
      break;
    }
    if (!is_address(site.module, to)) return {};
    return {FieldForm::kPage21, 4, kPage, to};
  }
  if (!is_page_add(word) && !is_page_access(word)) return {};
  for (std::size_t i = 1; i <= kPairWordsMax && 4 * i <= site.before; ++i) {
    const std::uint32_t before = load_u32(site.at - 4 * i);
    if (!is_page(before) || !completes(word, before)) continue;
    const std::uint64_t to = page_of(before, site.address - 4 * i) + low12_of(word);
    if (!is_address(site.module, to)) return {};
    return {FieldForm::kLow12, 4,
            static_cast<std::uint8_t>(is_page_add(word) ? kPageAdd : kPageAccess), to};
  }
  return {};
}

int low12_scale(std::uint64_t bits) {
  const auto word = static_cast<std::uint32_t>(bits);
  return is_page_access(word) ? access_scale(word) : 0;
}

int number_bits(FieldForm form) {
  switch (form) {
    case FieldForm::kAbsolute64: return 64;
    case FieldForm::kBranch26: return 26;
    case FieldForm::kPage21: return 21;
    case FieldForm::kLow12: return 12;
    default: return 32;
  }
}

// The number in a field, and the field with another number: only low bits of either count.
std::uint64_t number_of(const Field& field, std::uint64_t bits) {
  switch (field.form) {
    case FieldForm::kBranch26: return bits & 0x03ff'ffff;
    case FieldForm::kPage21: return (bits >> 3 & 0x1f'fffc) | (bits >> 29 & 3);
    case FieldForm::kLow12: return bits >> 10 & 0xfff;
    default: return bits;
  }
}

std::uint64_t put_number(const Field& field, std::uint64_t bits, std::uint64_t number) {
  switch (field.form) {
    case FieldForm::kAbsolute64: return number;
    case FieldForm::kBranch26: return (bits & 0xfc00'0000) | (number & 0x03ff'ffff);
    case FieldForm::kPage21:
      return (bits & 0x9f00'001f) | (number & 3) << 29 | (number >> 2 & 0x7'ffff) << 5;
    case FieldForm::kLow12: return (bits & 0xffc0'03ff) | (number & 0xfff) << 10;
    default: return number & 0xffff'ffff;
  }
}

}  // namespace

Field find_field(const Module& module, const AddressRange& range, ByteSpan window, std::size_t at,
                 std::uint64_t offset) {
  const std::uint64_t in_range = offset - range.offset;
  const Site site{
      module,
      range,
      window.data() + at,
      static_cast<std::size_t>(std::min<std::uint64_t>(at, in_range)),
      static_cast<std::size_t>(std::min<std::uint64_t>(window.size() - at, range.bytes - in_range)),
      offset + range.address_shift};
  switch (range.kind) {
    case RangeKind::kX86Code: return x86_field(site);
    case RangeKind::kAarch64Code: return aarch64_field(site);
    case RangeKind::kWords32: return word32_field(site);
    case RangeKind::kOrigin32: return origin32_field(site);
    case RangeKind::kWords64: return word64_field(site);
    case RangeKind::kEhFrame: return eh_frame_field(site);
    case RangeKind::kSymbols: return symbol_field(site, in_range);
    case RangeKind::kNothing: return {};
    case RangeKind::kGoFunctions: return go_function_field(site, in_range);
    case RangeKind::kGoRecords: return go_record_field(site, in_range);
  }
  return {};
}

std::uint64_t load_field(const Field& field, const std::uint8_t* from) {
  return field.bytes == 8 ? load_u64(from) : load_u32(from);
}

void store_field(const Field& field, std::uint64_t bits, std::uint8_t* to) {
  for (std::size_t i = 0; i < field.bytes; ++i) to[i] = static_cast<std::uint8_t>(bits >> (8 * i));
}

std::uint64_t spell_moved(const Field& field, std::uint64_t old_bits, const Move& move) {
  const auto relative = static_cast<std::int64_t>(move.address - move.place);
  switch (field.form) {
    case FieldForm::kNone: break;
    case FieldForm::kRelative32: return add_units(field, old_bits, relative);
    case FieldForm::kBackwards32:
      return add_units(field, old_bits, static_cast<std::int64_t>(move.place - move.address));
    case FieldForm::kOrigin32:
      return add_units(field, old_bits, static_cast<std::int64_t>(move.address - move.origin));
    case FieldForm::kAbsolute32:
    case FieldForm::kAbsolute64:
      return add_units(field, old_bits, static_cast<std::int64_t>(move.address));
    case FieldForm::kBranch26: return add_units(field, old_bits, relative / 4);
    case FieldForm::kPage21: {
      const std::uint64_t to = (field.address + move.address) / kPageBytes;
      const std::uint64_t from = (move.new_place) / kPageBytes;
      return put_number(field, old_bits, to - from);
    }
    case FieldForm::kLow12: {
      const std::uint64_t to = (field.address + move.address) % kPageBytes;
      return put_number(field, old_bits, to >> low12_scale(old_bits));
    }
  }
  return old_bits;
}

std::uint64_t add_units(const Field& field, std::uint64_t bits, std::int64_t units) {
  return put_number(field, bits, number_of(field, bits) + static_cast<std::uint64_t>(units));
}

std::optional<std::int64_t> units_between(const Field& field, std::uint64_t from,
                                          std::uint64_t to) {
  if (put_number(field, from, number_of(field, to)) != to) return std::nullopt;
  const int unused = 64 - number_bits(field.form);
  const std::uint64_t units = number_of(field, to) - number_of(field, from);
  return static_cast<std::int64_t>(units << unused) >> unused;
}

std::uint64_t without_number(const Field& field, std::uint64_t bits) {
  return put_number(field, bits, 0);
}

std::int64_t unit_bytes(const Field& field, std::uint64_t bits) {
  switch (field.form) {
    case FieldForm::kBackwards32: return -1;
    case FieldForm::kBranch26: return 4;
    case FieldForm::kPage21: return kPageBytes;
    case FieldForm::kLow12: return std::int64_t{1} << low12_scale(bits);
    default: return 1;
  }
}

}  // namespace layby::delta
