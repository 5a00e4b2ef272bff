// One ELF file as an image stores it: where addresses stand in it. Encoder only; whatever is wrong
// with the file, the answer is nothing or fewer ranges. Source: System V ABI, gABI chapters 4 and 5
// (ELF64), LSB core "Exception Frames".
#pragma once

#include <optional>
#include <vector>

#include "delta/address_fields.h"
#include "delta/image_files.h"

namespace layby::delta {

struct ElfFile {
  ImageFile file;
  std::uint16_t machine = 0;
  Module module;
  std::vector<AddressRange> ranges;  // offsets of the image, in order; module 0
};

// Nothing for what is no x86-64 or AArch64 executable or library, or where its section table makes
// no sense: bytes that only look like the beginning of one. A `file` that goes on behind the ELF
// file is cut to it.
std::optional<ElfFile> read_elf(ByteSpan image, ImageFile file);

}  // namespace layby::delta
