// Finds executables and libraries inside images of any kind and says where addresses stand in them.
// Encoder only. Source: System V ABI, gABI chapter 4 and 5 (ELF64), LSB core "Exception Frames".
#pragma once

#include "base/bytes.h"
#include "delta/address_table.h"
#include "delta/image_files.h"

namespace layby::delta {

// Ranges of all ELF64 little-endian x86-64 and AArch64 files in `base` and of those in `target`
// that seem to be later versions of them: pairs that are equal byte for byte are left out. Offsets
// are those of the views. To see which file is like which it takes a table of at most about
// `table_bytes_max`.
constexpr std::uint64_t kLikenessTableBytesMax = std::uint64_t{256} << 20;
AddressTable find_addresses(const ViewedImage& base, const ViewedImage& target,
                            std::uint64_t table_bytes_max = kLikenessTableBytesMax);
// Of images that are looked at as they are.
AddressTable find_addresses(ByteSpan base, ByteSpan target);

}  // namespace layby::delta
