// Addresses in images of machine code: where they stand, and what they become when what they refer
// to has moved. Both the encoder and the applier look at the base's bytes only, so they see the
// same fields; what is taken for an address and is none costs payload bytes, never correctness.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace layby::delta {

// What stands in a range of an image. Values are part of the format and never reused.
enum class RangeKind : std::uint8_t {
  kX86Code = 1,      // calls, jumps and data relative to the instruction; absolute where linked so
  kAarch64Code = 2,  // branches, ADRP and the ADD, LDR or STR that completes it
  kWords32 = 3,      // aligned 32-bit distances from their own place to code
  kOrigin32 = 4,     // aligned 32-bit distances from one origin
  kWords64 = 5,      // aligned 64-bit addresses
  kEhFrame = 6,      // call frame information: CIE, function and LSDA pointers
  kSymbols = 7,      // ELF64 symbols: place of the name, and address
  kNothing = 8,      // no addresses, but a place that addresses refer to
  kGoFunctions = 9,  // Go's index of functions: each its code and its record, both as distances
  kGoRecords = 10,   // Go's records of functions
};
constexpr std::uint8_t kRangeKindMax = 10;

// What Go's tables of functions count from has addresses of its own: those of the range's origin,
// the first address of code, and one of these. They are so far behind all others that no shift of
// 32 bits leads from the ones to the others.
constexpr std::uint64_t kGoRecordsFrom = 0x8800'0000;   // index and records
constexpr std::uint64_t kGoCountersFrom = 0x9800'0000;  // values by program counter
constexpr std::uint64_t kGoNamesFrom = 0xb800'0000;
constexpr std::uint64_t kGoDataFrom = 0xd800'0000;  // stack maps and the like
constexpr std::uint64_t kGoTableBytesMax = 0x1000'0000;

// One executable or library in the base: which values are addresses at all.
struct Module {
  std::uint64_t low = 0;  // addresses: [low, high), of which code [code_low, code_high)
  std::uint64_t high = 0;
  std::uint64_t code_low = 0;
  std::uint64_t code_high = 0;
  bool has_absolute_code = false;  // linked to fixed addresses: code holds them as 32-bit numbers
};

// Bytes of one image that one module explains. `address_shift`: address less offset in the image,
// modulo 2^64.
struct AddressRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t address_shift = 0;
  std::uint64_t origin = 0;  // of kOrigin32, of the names of kSymbols, of code in Go: an address
  std::uint32_t module = 0;
  RangeKind kind = RangeKind::kWords64;

  std::uint64_t end() const { return offset + bytes; }
};

// How a field spells its address.
enum class FieldForm : std::uint8_t {
  kNone,
  kRelative32,   // to its own place
  kBackwards32,  // its own place less the distance
  kOrigin32,     // to the range's origin
  kAbsolute32,
  kAbsolute64,
  kBranch26,  // AArch64: B and BL, words to its own place
  kPage21,    // AArch64: ADRP
  kLow12,     // AArch64: the last 12 bits, scaled by the size of the access
};

struct Field {
  FieldForm form = FieldForm::kNone;
  std::uint8_t bytes = 0;
  std::uint8_t role = 0;  // which instruction or record it stands in: a context, below kFieldRoles
  std::uint64_t address = 0;

  explicit operator bool() const { return form != FieldForm::kNone; }
};
constexpr std::uint8_t kFieldRoles = 64;

// Bytes that a field may look at before its first one and behind it.
constexpr std::size_t kFieldLookBehind = 96;
constexpr std::size_t kFieldLookAhead = 96;

// Whether find_field() need be asked about a place: quick, and where it says no there is no field.
// `address` of the place, `before` the byte before it.
inline bool may_begin_field(const Module& module, RangeKind kind, std::uint64_t address,
                            std::uint8_t before) {
  switch (kind) {
    case RangeKind::kX86Code:
      return (before & 0xfe) == 0xe8 || (before & 0xf0) == 0x80 || (before & 0xc7) == 5 ||
             module.has_absolute_code;
    case RangeKind::kAarch64Code:
    case RangeKind::kWords32:
    case RangeKind::kOrigin32: return address % 4 == 0;
    case RangeKind::kWords64: return address % 8 == 0;
    case RangeKind::kNothing: return false;
    case RangeKind::kEhFrame:
    case RangeKind::kSymbols:
    case RangeKind::kGoFunctions:
    case RangeKind::kGoRecords: break;
  }
  return true;
}

// The field that begins at `window[at]`, which is base byte `offset` of `range`. Nothing outside
// the range and outside the window is looked at.
Field find_field(const Module& module, const AddressRange& range, ByteSpan window, std::size_t at,
                 std::uint64_t offset);

// The bits of a field as they stand: 4 or 8 bytes, little-endian.
std::uint64_t load_field(const Field& field, const std::uint8_t* from);
void store_field(const Field& field, std::uint64_t bits, std::uint8_t* to);

// How far things moved from base to target, modulo 2^64.
struct Move {
  std::uint64_t address = 0;    // what the field refers to
  std::uint64_t place = 0;      // the field itself
  std::uint64_t origin = 0;     // the range's origin
  std::uint64_t new_place = 0;  // the field's own address in the target
};
std::uint64_t spell_moved(const Field& field, std::uint64_t old_bits, const Move& move);

// Fields count in units: bytes, words, pages. The units from one spelling to another, nothing where
// they differ in more than the number (another instruction); and the spelling that is so far away.
std::optional<std::int64_t> units_between(const Field& field, std::uint64_t from, std::uint64_t to);
std::uint64_t add_units(const Field& field, std::uint64_t bits, std::int64_t units);
// The bits with the number 0.
std::uint64_t without_number(const Field& field, std::uint64_t bits);
// By how many bytes the address grows with a unit.
std::int64_t unit_bytes(const Field& field, std::uint64_t bits);

}  // namespace layby::delta
