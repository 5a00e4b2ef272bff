// Modules and ranges of addresses out of a fuzzer's bytes: any numbers, in an order that an address
// table can have. Where the bytes end there are zeros.
#pragma once

#include <algorithm>

#include "delta/address_table.h"

namespace layby::tests {

class FuzzedNumbers {
 public:
  FuzzedNumbers(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}

  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }
  std::uint64_t number(int bytes) {
    std::uint64_t made = 0;
    for (int i = 0; i < bytes; ++i) made |= std::uint64_t{byte()} << (8 * i);
    return made;
  }
  // A byte says how many follow: small numbers and numbers near 2^64 are as likely.
  std::uint64_t any() {
    const std::uint8_t form = byte();
    const std::uint64_t made = number(form % 9);
    return form >= 0x80 ? ~made : made;
  }
  ByteSpan rest() const { return bytes_; }

 private:
  ByteSpan bytes_;
};

inline delta::Module fuzzed_module(FuzzedNumbers& numbers) {
  delta::Module module;
  module.has_absolute_code = numbers.byte() % 2 != 0;
  module.low = numbers.any();
  module.high = module.low + numbers.any();
  module.code_low = module.low + numbers.any();
  module.code_high = module.code_low + numbers.any();
  return module;
}

// The range after `end`, within an image of `image_bytes`, which are more.
inline delta::AddressRange fuzzed_range(FuzzedNumbers& numbers, std::uint64_t end,
                                        std::uint64_t image_bytes, std::size_t modules) {
  delta::AddressRange range;
  range.offset = std::min(end + numbers.byte(), image_bytes - 1);
  range.bytes = std::min(1 + numbers.number(2), image_bytes - range.offset);
  range.kind = static_cast<delta::RangeKind>(1 + numbers.byte() % delta::kRangeKindMax);
  range.address_shift = numbers.any();
  range.origin = numbers.any();
  range.module = static_cast<std::uint32_t>(numbers.byte() % modules);
  return range;
}

inline delta::AddressTable fuzzed_table(FuzzedNumbers& numbers, std::uint64_t base_bytes,
                                        std::uint64_t target_bytes) {
  delta::AddressTable table;
  const std::uint8_t counts = numbers.byte();
  for (int i = counts % 4; i > 0; --i) table.modules.push_back(fuzzed_module(numbers));
  if (table.modules.empty()) return table;
  const auto add = [&](std::vector<delta::AddressRange>& to, std::uint64_t bytes, int count) {
    for (std::uint64_t end = 0; count > 0 && end < bytes; --count) {
      to.push_back(fuzzed_range(numbers, end, bytes, table.modules.size()));
      end = to.back().end();
    }
  };
  add(table.base, base_bytes, counts / 4 % 8);
  add(table.target, target_bytes, counts / 32);
  return table;
}

}  // namespace layby::tests
