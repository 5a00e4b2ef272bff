// The part of a payload's head that says where addresses stand in base and target. The encoder
// finds them (in ELF headers); the applier only follows this table and parses no executable.
#pragma once

#include <vector>

#include "base/result.h"
#include "delta/address_fields.h"

namespace layby::delta {

constexpr std::size_t kModulesMax = 4096;
constexpr std::size_t kAddressRangesMax = 8192;            // of base and target each
constexpr std::size_t kAddressTableBytesMax = 256 * 1024;  // packed; unpacked twice that

struct AddressTable {
  std::vector<Module> modules;
  // In order of the offset, without overlap.
  std::vector<AddressRange> base;
  std::vector<AddressRange> target;
};

// Packed; empty for an empty table.
Bytes serialise_address_table(const AddressTable& table);
// kBadPayload for anything that `serialise_address_table` does not write, ranges that overlap or
// reach past the end of an image included.
Result<AddressTable> parse_address_table(ByteSpan bytes, std::uint64_t base_bytes,
                                         std::uint64_t target_bytes);

// Finds the range that holds an offset; quick where offsets come in order.
class RangeCursor {
 public:
  explicit RangeCursor(const std::vector<AddressRange>& ranges) : ranges_(ranges) {}
  // Nothing where no range holds `offset`; then `until` is where the next one begins.
  const AddressRange* find(std::uint64_t offset);
  // First offset after the one of the last find() for which the answer may be another.
  std::uint64_t until() const { return until_; }

 private:
  const std::vector<AddressRange>& ranges_;
  std::uint64_t from_ = 1;  // [from_, until_) have the answer `found_`
  std::uint64_t until_ = 0;
  const AddressRange* found_ = nullptr;
};

}  // namespace layby::delta
